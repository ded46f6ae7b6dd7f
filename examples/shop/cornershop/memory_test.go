package cornershop_test

import (
	"testing"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
	"github.com/codegrant/codegrant/examples/shop/cornershop/bookstest"
)

func TestBooksInMemory(t *testing.T) {
	t.Parallel()
	bookstest.Orders(t, cornershop.NewOrderBook())
	bookstest.Sessions(t, cornershop.NewSessionBook())
	bookstest.News(t, cornershop.NewNewsBook())
}
