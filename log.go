package codegrant

import (
	"context"
	"errors"
	"log/slog"
)

// reject logs a failure under its code: the gateway's and the browser's
// mistakes quietly, ours loudly. Probes with bad signatures are routine.
func (k *Kit) reject(ctx context.Context, op string, err error, attrs ...slog.Attr) {
	level := slog.LevelWarn
	switch {
	case errors.Is(err, ErrStore), errors.Is(err, ErrHook), errors.Is(err, ErrAccounts),
		errors.Is(err, ErrDeadline), errors.Is(err, ErrConflict):
		level = slog.LevelError
	}
	attrs = append([]slog.Attr{
		slog.String("code", string(codeOf(err))), slog.String("op", op), slog.String("error", err.Error()),
	}, attrs...)
	k.log.LogAttrs(ctx, level, "codegrant: refused", attrs...)
}

// note logs something that is no failure under a code.
func (k *Kit) note(ctx context.Context, op string, code Code, attrs ...slog.Attr) {
	attrs = append([]slog.Attr{slog.String("code", string(code)), slog.String("op", op)}, attrs...)
	k.log.LogAttrs(ctx, slog.LevelInfo, code.Error(), attrs...)
}
