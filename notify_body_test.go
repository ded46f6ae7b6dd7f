package codegrant

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// What a sender claims and what it says may differ: middleware that unpacks a
// body leaves the length of the packed one.
func TestABodyIsReadToItsEndOrTheCap(t *testing.T) {
	t.Parallel()
	const cap64K = 64 << 10
	for _, tt := range []struct {
		name                   string
		claimed, said, maxBody int
		tooLarge               bool
	}{
		{"as claimed", 660, 660, cap64K, false},
		{"less than claimed", 660, 20, cap64K, false},
		{"more than claimed", 660, 5000, cap64K, false},
		{"nothing claimed", -1, 660, cap64K, false},
		{"nothing claimed and nothing said", -1, 0, cap64K, false},
		{"as claimed, more than the buffer", 5000, 5000, cap64K, false},
		{"as claimed, the cap", cap64K, cap64K, cap64K, false},
		{"nothing claimed, the cap", -1, cap64K, cap64K, false},
		{"nothing claimed, over the cap", -1, cap64K + 1, cap64K, true},
		{"less claimed, the cap", 10, cap64K, cap64K, false},
		{"less claimed, over the cap", 10, cap64K + 1, cap64K, true},
		{"the cap claimed, over the cap", cap64K, cap64K + 1, cap64K, true},
		{"the smallest cap", minMaxBody, minMaxBody, minMaxBody, false},
		{"over the smallest cap", minMaxBody, minMaxBody + 1, minMaxBody, true},
		{"a cap below the buffer", 100, 100, 100, false},
		{"over a cap below the buffer", 100, 101, 100, true},
		{"over a cap of one byte", -1, 2, 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := bytes.Repeat([]byte("0123456789abcdefg"), tt.said/17+1)[:tt.said]
			for name, reader := range map[string]io.Reader{
				"at once": bytes.NewReader(text), "byte by byte": iotest.OneByteReader(bytes.NewReader(text)), "the end with the data": iotest.DataErrReader(bytes.NewReader(text)),
			} {
				body, err := readAll(httptest.NewRecorder(), io.NopCloser(reader), int64(tt.claimed), int64(tt.maxBody))
				if tt.tooLarge {
					var tooLarge *http.MaxBytesError
					require.ErrorAs(t, err, &tooLarge, name)
					continue
				}
				require.NoError(t, err, name)
				require.Equal(t, string(text), string(body), name)
			}
		})
	}
}

func TestWhoOnlyClaimsToSayMuchGetsNoMemoryForIt(t *testing.T) {
	t.Parallel()
	body, err := readAll(nil, io.NopCloser(strings.NewReader("x")), 64<<10, 64<<10)
	require.NoError(t, err)
	require.LessOrEqual(t, cap(body), 4<<10)
}

func TestABodyThatBreaksOffIsNoBody(t *testing.T) {
	t.Parallel()
	for _, claimed := range []int64{2000, 2, -1} {
		_, err := readAll(nil, io.NopCloser(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("{}}")))), claimed, 64<<10)
		require.ErrorIs(t, err, iotest.ErrTimeout)
	}
}
