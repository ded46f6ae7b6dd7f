package main

import (
	"context"
	"fmt"
)

const signAbout = `
codegrant sign FILE [flags]

Signs what FILE holds, "-" for standard input, and prints the message: a JSON
object with bizContent, as a string or as an object, or the object that bizContent
is to be. accId, clientId, signType and sign are the account's. A string stays as
it is, byte for byte; an object loses its white space and nothing else.

A request gets version 1.0. With -notification it is what the gateway would send:
code and description, without version.
` + accountHelp

func sign(_ context.Context, env environment, args []string) error {
	flags := newFlags(env, "sign", signAbout)
	var who accountFlags
	who.register(flags)
	notification := flags.Bool("notification", false, "sign as the gateway does: with code and description, without version")
	code := flags.String("code", "", "top-level code; default 000000 with -notification")
	description := flags.String("description", "", `top-level description; default "Transaction succeeded" for 000000`)
	name, account, data, err := flags.parseMessage(args, &who)
	if err != nil {
		return err
	}
	message, err := readEnvelope(data)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	message.set("code", or(*code, message.values["code"]))
	message.set("description", or(*description, message.values["description"]))
	if *notification {
		message.set("version", "")
		message.set("code", or(message.values["code"], "000000"))
		if message.values["code"] == "000000" {
			message.set("description", or(message.values["description"], "Transaction succeeded"))
		}
	} else if message.values["code"] == "" {
		message.set("version", or(message.values["version"], "1.0"))
	}
	body, err := message.signed(account)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.stdout, "%s\n", body)
	return err
}
