package cornershop

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestOperations(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	require.Equal(t, "/login?m=sign-in", s.open().get(operations+"/").path)

	b := s.visit("Mia")
	b.connect("GCash")
	order := b.buy("tea")
	s.settled()
	require.Contains(t, b.get(operations+"/").body, "Mia")
	require.Contains(t, b.get(operations).path, operations+"/")
	found := b.submit(operations+"/search", url.Values{"q": {order}})
	require.Equal(t, http.StatusOK, found.status)
	require.Contains(t, found.body, "Payment succeeded")
	require.Contains(t, b.submit(operations+"/search", url.Values{"q": {"user-1"}}).body, "GCash")
	require.Contains(t, b.submit(operations+"/sweep", nil).body, "Last asked for by <strong>Mia</strong>")
}
