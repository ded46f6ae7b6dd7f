package hostiletest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// extended goes on hashing where a published digest stopped. length is that of
// all that was hashed, the unknown salt included. It returns the padding that
// the hash put behind it and the digest, as the gateway writes it, of the whole
// with padding and suffix: neither needs the salt.
func extended(digest codegrant.Digest, sign string, length int, suffix string) (padding, newSign string) {
	sum, err := hex.DecodeString(sign)
	if err != nil {
		panic(err)
	}
	padding = "\x80" + strings.Repeat("\x00", (64+55-length%64)%64)
	// The state of the standard library's hashes: a mark, the words of the
	// digest, the unfinished block, the length so far.
	var h hash.Hash
	var state []byte
	switch digest {
	case codegrant.SHA256:
		padding += string(binary.BigEndian.AppendUint64(nil, uint64(length)*8))
		h, state = sha256.New(), append([]byte("sha\x03"), sum...)
	case codegrant.MD5:
		padding += string(binary.LittleEndian.AppendUint64(nil, uint64(length)*8))
		h, state = md5.New(), []byte("md5\x01")
		for word := range 4 { // a digest is little-endian, the saved state is not
			state = binary.BigEndian.AppendUint32(state, binary.LittleEndian.Uint32(sum[4*word:]))
		}
	}
	state = append(state, make([]byte, 64)...)
	state = binary.BigEndian.AppendUint64(state, uint64(length+len(padding)))
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		panic(err)
	}
	h.Write([]byte(suffix))
	return padding, strings.ToUpper(hex.EncodeToString(h.Sum(nil)))
}

// The forger must be a good one: its digests are those that the holder of the
// salt would compute.
func TestLengthExtensionNeedsNoSalt(t *testing.T) {
	t.Parallel()
	const salt = "5A17C0DE96A7E5EED0000001"
	for _, digest := range []codegrant.Digest{codegrant.SHA256, codegrant.MD5} {
		for length := range 200 {
			text := strings.Repeat("x", length)
			padding, sign := extended(digest, digestOf(digest, salt+text), len(salt)+length, "&zzz=evil")
			require.Zero(t, (len(salt)+length+len(padding))%64)
			same := sign == digestOf(digest, salt+text+padding+"&zzz=evil")
			require.True(t, same)
		}
	}
}

func digestOf(digest codegrant.Digest, text string) string {
	if digest == codegrant.MD5 {
		sum := md5.Sum([]byte(text))
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	sum := sha256.Sum256([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

// paddings are ways to carry the bytes of a padding in a JSON string, so that
// some decoder gives back the bytes that were hashed. Each returns JSON text
// without its quotation marks.
func paddings() []func(padding string) string {
	each := func(write func(b byte) string) func(string) string {
		return func(padding string) string {
			var out strings.Builder
			for i := range len(padding) {
				out.WriteString(write(padding[i]))
			}
			return out.String()
		}
	}
	const digits = "0123456789abcdef"
	hex2 := func(b byte) string { return string([]byte{digits[b>>4], digits[b&15]}) }
	escaped := func(b byte) string { return `\u00` + hex2(b) }
	rawHigh := each(func(b byte) string { // the bytes themselves, controls escaped as JSON demands
		if b < 0x20 || b == '"' || b == '\\' {
			return escaped(b)
		}
		return string([]byte{b})
	})
	return []func(string) string{
		rawHigh,
		func(padding string) string { return padding }, // raw, controls too
		each(escaped), // code points for bytes
		each(func(b byte) string { return string(rune(b)) }),   // the same in UTF-8
		each(func(b byte) string { return `\udc` + hex2(b) }),  // Python's surrogateescape
		each(func(b byte) string { return `\xc2` + hex2(b) }),  // no escape of JSON
		each(func(b byte) string { return `\\u00` + hex2(b) }), // escaped twice
		each(func(b byte) string { return `\\x` + hex2(b) }),
		each(func(b byte) string { return "%" + hex2(b) }),
		each(func(b byte) string { return "&#x" + hex2(b) + ";" }),
		each(func(b byte) string { return string([]byte{0xC0 | b>>6, 0x80 | b&0x3f}) }), // overlong UTF-8
		func(padding string) string { return strings.Trim(rawHigh(padding), "\x00") },
		func(padding string) string { return strings.ReplaceAll(rawHigh(padding), `\u0000`, "") },
		func(string) string { return "\ufffd" }, // what a repairing decoder leaves
		func(string) string { return "" },
	}
}

// lengthExtended forges from l without its salt, only by the lengths that a
// salt may have.
func (f *forger) lengthExtended(l *genuine) {
	text := l.canonical()
	last := l.signed()[len(l.signed())-1]
	suffixes := []string{
		"", "&zzz=1", "&zzzz=1", "&zzz=1&zzzz=2", `&{"notifyType":"RECHARGE","amount":"1","currency":"HKD"}`,
		`&token=EVIL`, "&version=1.0", "&version=1.0&zzz=a", `&signType=SHA256`, `&signType=MD5`, "SHA256", "&description=paid",
		`&bizContent={"notifyType":"ACCESS_TOKEN_CREATION","requestId":"RECORD-1","merchantUserId":"ann","token":"EVIL"}`, "&code=000000",
	}
	for saltLength := 1; saltLength <= 64; saltLength++ {
		tried := suffixes // in full for the lengths that salts have as a rule
		if saltLength != 16 && saltLength != 24 && saltLength != 32 {
			f.Shuffle(len(suffixes), func(i, j int) { suffixes[i], suffixes[j] = suffixes[j], suffixes[i] })
			tried = suffixes[:min(f.size(1), len(suffixes))]
		}
		for _, suffix := range tried {
			if f.IntN(2) == 0 {
				suffix += strconv.Itoa(f.IntN(1000))
			}
			padding, sign := extended(l.account.Digest, l.sign, saltLength+len(text), suffix)
			tail := strings.Split(suffix, "&")
			for _, write := range paddings() {
				parts := bytes.Buffer{}
				for _, p := range l.signed() {
					if p.name != last.name {
						parts.WriteString(quoted(p.name) + ":" + p.text() + ",")
					}
				}
				value := strings.Trim(quoted(last.value), `"`)
				parts.WriteString(quoted(last.name) + `:"` + value + write(padding) + strings.Trim(quoted(tail[0]), `"`) + `",`)
				for _, member := range tail[1:] {
					if name, value, found := strings.Cut(member, "="); found {
						parts.WriteString(quoted(name) + ":" + quoted(value) + ",")
					}
				}
				f.emit(l, "length-extended", []byte("{"+parts.String()+`"sign":"`+sign+`"}`))
			}
		}
	}
}
