package codegrant_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// paidShop is a kit that records payments, with a wallet of ann's connected.
func paidShop(gateway *gatewaytest.Gateway) *codegrant.Kit {
	store := memstore.New()
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: store, Payments: store,
		BaseURL: "https://shop.example/wallet", User: currentUser,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))
	token, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.Approve(token.AuthURL); err != nil {
		log.Fatal(err)
	}
	return kit
}

func exampleCharge(order string) codegrant.ChargeParams {
	return codegrant.ChargeParams{
		UserID: "ann", OrderID: order, Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	}
}

// An order is paid back in two parts. What is more than is left is refused
// before anything is sent, and the same number is the same refund.
func ExampleKit_Refund() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := paidShop(gateway)
	if _, err := kit.Charge(exampleContext, exampleCharge("order-1")); err != nil {
		log.Fatal(err)
	}
	refund := func(number int, minor int64) {
		receipt, err := kit.Refund(exampleContext, codegrant.RefundParams{
			OrderID: "order-1", Number: number, Amount: codegrant.Amount{Minor: minor, Currency: "PHP"},
		})
		if errors.Is(err, codegrant.ErrInvalidRequest) {
			fmt.Println("refused:", err)
			return
		}
		fmt.Println(receipt.Outcome, receipt.Amount, err)
	}
	refund(1, 4000)
	refund(1, 4000) // the same one, asked for again
	refund(2, 6000)
	refund(2, 5900)
	fmt.Println(len(gateway.Ledger().Refunds), "refunds at the gateway")
	// Output:
	// succeeded 40.00 PHP <nil>
	// succeeded 40.00 PHP <nil>
	// refused: codegrant: refund: request not sent: RefundParams.Amount (amount) is more than what is left of the payment
	// succeeded 59.00 PHP <nil>
	// 2 refunds at the gateway
}

// The answer to a charge is lost. To charge again, with the same numbers, is to
// ask.
func ExampleUnknownOutcomeError() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := paidShop(gateway)
	gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})

	_, err := kit.Charge(exampleContext, exampleCharge("order-1"))
	var unknown *codegrant.UnknownOutcomeError
	fmt.Println(errors.As(err, &unknown), errors.Is(err, codegrant.ErrOutcomeUnknown))
	receipt, err := kit.Charge(exampleContext, exampleCharge("order-1")) // as unknown.Resolve does
	fmt.Println(receipt.Outcome, err)
	fmt.Println(len(gateway.Ledger().Charges), "charge at the gateway")
	// Output:
	// true true
	// succeeded <nil>
	// 1 charge at the gateway
}

// A declined attempt is no error. The next one has a number of its own, and the
// record of the order shows both ends.
func ExampleKit_Payment() {
	gateway := gatewaytest.New(gatewaytest.Config{FailFirst: true})
	defer gateway.Close()
	kit := paidShop(gateway)
	order := exampleCharge("order-1")
	for order.Attempt = 1; order.Attempt <= 2; order.Attempt++ {
		receipt, err := kit.Charge(exampleContext, order)
		fmt.Println("attempt", order.Attempt, receipt.Outcome, err)
	}
	payment, err := kit.Payment(exampleContext, "order-1")
	fmt.Println(payment.Outcome, "at attempt", payment.Attempt, err)
	// Output:
	// attempt 1 failed <nil>
	// attempt 2 succeeded <nil>
	// succeeded at attempt 2 <nil>
}

// The merchant ends the agreement: no charge starts from the moment on at which
// it is asked for.
func ExampleKit_UnbindToken() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := paidShop(gateway)
	token, err := kit.UnbindToken(exampleContext, codegrant.UnbindParams{UserID: "ann"})
	fmt.Println(token.Status, "by the", token.EndedBy, err)
	_, err = kit.Charge(exampleContext, exampleCharge("order-1"))
	fmt.Println(errors.Is(err, codegrant.ErrNoToken))
	// Output:
	// unbound by the merchant <nil>
	// true
}
