package main

import (
	"context"
	"slices"

	"github.com/codegrant/codegrant"
)

// observers is several Observers as one.
type observers []codegrant.Observer

// Start starts each inside of the one before.
func (o observers) Start(ctx context.Context, op codegrant.Operation) (context.Context, func(codegrant.Result)) {
	ends := make([]func(codegrant.Result), len(o))
	for i, each := range o {
		ctx, ends[i] = each.Start(ctx, op)
	}
	return ctx, func(r codegrant.Result) {
		for _, end := range slices.Backward(ends) {
			end(r)
		}
	}
}

// Event tells each.
func (o observers) Event(ctx context.Context, e codegrant.Event) {
	for _, each := range o {
		each.Event(ctx, e)
	}
}
