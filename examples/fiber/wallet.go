package main

import (
	"errors"
	"log"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demo"
)

// The context given to the kit is c.Context() and never c itself, which is a
// context.Context too: work that outlives the request would read from a c that
// serves another one by then.

// signUp is [codegrant.Kit.SignUp].
func (s *shop) signUp(c fiber.Ctx) error {
	user := userOf(c)
	if user == "" {
		return codegrant.ErrUnauthenticated
	}
	token, err := s.kit.StartSignUp(c.Context(), codegrant.SignUpParams{
		UserID: user,
		// A string of Fiber's lies in a buffer that the next request overwrites,
		// and the record is kept: a copy, or fiber.Config.Immutable.
		Wallet: codegrant.Wallet(strings.Clone(c.FormValue("wallet"))),
	})
	if token.AuthURL == "" {
		return err
	}
	if err != nil { // of the hook of a fast notification, which is delivered again
		log.Print("sign-up: ", err)
	}
	return c.Redirect().Status(http.StatusSeeOther).To(token.AuthURL)
}

// comeBack is [codegrant.Kit.Return]: only the record knows how it went, and
// the gateway if its notification is late. The URL can be written by anybody.
func (s *shop) comeBack(c fiber.Ctx) error {
	token, err := s.kit.Returned(c.Context(), userOf(c), strings.Clone(c.Params("id")))
	if err != nil {
		return err
	}
	switch token.Status {
	case codegrant.StatusActive:
		return show(c, http.StatusOK, demo.Page{Token: token, Said: "Now you can buy with one click."})
	case codegrant.StatusPending:
		c.Set("Refresh", "3")
		return show(c, http.StatusOK, demo.Page{Said: "Waiting for the wallet to confirm. This page looks again by itself."})
	}
	return show(c, http.StatusOK, demo.Page{Said: "The wallet did not agree. Nothing was charged."})
}

// notify is [codegrant.Kit.Notify]. BodyRaw is what was received and signed;
// Body would unpack what Content-Encoding asks for.
func (s *shop) notify(c fiber.Ctx) error {
	if err := s.kit.Apply(c.Context(), c.BodyRaw(), strings.Clone(c.Params("id"))); err != nil {
		return err
	}
	return c.SendString("OK")
}

// unbind is [codegrant.Kit.Unbind]. While the outcome is unknown the token is
// no longer charged, and Kit.Run finds out.
func (s *shop) unbind(c fiber.Ctx) error {
	token, err := s.kit.UnbindToken(c.Context(), codegrant.UnbindParams{
		UserID: userOf(c), TokenID: strings.Clone(c.FormValue("id")),
	})
	if err != nil {
		ended := token.Status == codegrant.StatusUnbound
		if !ended && (token.Status != codegrant.StatusUnbinding || errors.Is(err, codegrant.ErrRefused)) {
			return err
		}
		log.Print("unbind: ", err)
	}
	return c.Redirect().Status(http.StatusSeeOther).To("/")
}

// sameOrigin refuses what a browser sends from another site.
func sameOrigin() fiber.Handler {
	guard := http.NewCrossOriginProtection()
	return func(c fiber.Ctx) error {
		r, err := adaptor.ConvertRequest(c, false)
		if err != nil || guard.Check(r) != nil {
			return codegrant.ErrCrossOrigin
		}
		return c.Next()
	}
}

// noStore keeps what is one user's out of caches and frames.
func noStore(c fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	return c.Next()
}

// answerError says how it went and never why: an error's text is for the log.
func answerError(c fiber.Ctx, err error) error {
	status := codegrant.HTTPStatus(err)
	var own *fiber.Error // 404, 405, 413
	if errors.As(err, &own) {
		status = own.Code
	}
	if status >= http.StatusInternalServerError {
		log.Printf("%s %s: %v", c.Method(), c.Path(), err)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Status(status).SendString(http.StatusText(status))
}
