package main

import (
	"bytes"
	"flag"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ args, rest []string }{
		"the file first, as in the help":      {[]string{"FILE", "--to", "URL", "-n", "3"}, []string{"FILE"}},
		"the file last":                       {[]string{"-to", "URL", "-n=3", "FILE"}, []string{"FILE"}},
		"the file between":                    {[]string{"-to=URL", "FILE", "-n", "3"}, []string{"FILE"}},
		"a dash is a file":                    {[]string{"-", "-to", "URL", "-n", "3"}, []string{"-"}},
		"after two dashes all are files":      {[]string{"-n", "3", "--to", "URL", "--", "-x", "FILE"}, []string{"-x", "FILE"}},
		"two dashes behind a file end flags":  {[]string{"FILE", "-n", "3", "--to", "URL", "--", "-y"}, []string{"FILE", "-y"}},
		"files around all flags in any order": {[]string{"A", "-n", "3", "B", "-to", "URL", "C"}, []string{"A", "B", "C"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := newFlags(environment{stderr: &bytes.Buffer{}, stdout: &bytes.Buffer{}}, "test", "")
			to, n := flags.String("to", "", ""), flags.Int("n", 0, "")
			rest, err := flags.parse(test.args)
			require.NoError(t, err)
			require.Equal(t, test.rest, rest)
			require.Equal(t, "URL", *to)
			require.Equal(t, 3, *n)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	var out, complaints bytes.Buffer
	flags := newFlags(environment{stderr: &complaints, stdout: &out}, "test", "about")
	_, err := flags.parse([]string{"FILE", "-nonsense"})
	require.ErrorIs(t, err, errUsage)
	require.Contains(t, complaints.String(), "nonsense")
	_, err = flags.parse([]string{"FILE", "-h"})
	require.ErrorIs(t, err, flag.ErrHelp)
}
