package diagnose

import (
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// charset is a character encoding that takes the place of UTF-8 by mistake.
type charset struct {
	name     string
	encoding encoding.Encoding
}

// charsets are those of the wallets' countries and of old defaults.
func charsets() []charset {
	return []charset{
		{"ISO-8859-1", charmap.ISO8859_1},
		{"Windows-1252", charmap.Windows1252},
		{"GB18030 (GBK)", simplifiedchinese.GB18030},
		{"Big5", traditionalchinese.Big5},
		{"EUC-KR", korean.EUCKR},
		{"Shift_JIS", japanese.ShiftJIS},
	}
}

func (c charset) decode(s string) string {
	out, err := c.encoding.NewDecoder().String(s)
	return onlyIf(err == nil, out)
}

func (c charset) encode(s string) string {
	out, err := c.encoding.NewEncoder().String(s)
	return onlyIf(err == nil, out)
}

// undoMojibake returns the text whose UTF-8 was read as c.
func (c charset) undoMojibake(s string) string {
	out := c.encode(s)
	return onlyIf(utf8.ValidString(out), out)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
