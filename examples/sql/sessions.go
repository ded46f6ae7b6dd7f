package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

// sessions is [cornershop.Sessions] in shop_users and shop_sessions.
type sessions struct{ db *database }

var _ cornershop.Sessions = sessions{}

// hashed is how a session's id rests: who reads the database, or a backup of
// it, cannot sign in with it.
func hashed(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// UserID implements [cornershop.Sessions].
func (s sessions) UserID(ctx context.Context, name string) (id string, err error) {
	name = strings.ToLower(name)
	_, err = s.db.change(ctx, "INSERT INTO shop_users (name, id) VALUES (?, ?) ON CONFLICT DO NOTHING",
		name, "user-"+strings.ToLower(rand.Text()[:10]))
	if err != nil {
		return "", err
	}
	err = s.db.QueryRowContext(ctx, s.db.adapt("SELECT id FROM shop_users WHERE name = ?"), name).Scan(&id)
	return id, err
}

// Start implements [cornershop.Sessions].
func (s sessions) Start(ctx context.Context, each cornershop.Session) error {
	if _, err := s.db.change(ctx, "DELETE FROM shop_sessions WHERE ends < ?", time.Now().UnixMicro()); err != nil {
		return err
	}
	_, err := s.db.change(ctx, "INSERT INTO shop_sessions (id_hash, user_id, name, form_key, ends) VALUES (?, ?, ?, ?, ?)",
		hashed(each.ID), each.UserID, each.Name, each.FormKey, each.Ends.UnixMicro())
	return err
}

// Find implements [cornershop.Sessions].
func (s sessions) Find(ctx context.Context, id string) (cornershop.Session, bool, error) {
	found, ends := cornershop.Session{ID: id}, int64(0)
	err := s.db.QueryRowContext(ctx, s.db.adapt("SELECT user_id, name, form_key, ends FROM shop_sessions "+
		"WHERE id_hash = ? AND ends > ?"), hashed(id), time.Now().UnixMicro()).
		Scan(&found.UserID, &found.Name, &found.FormKey, &ends)
	if errors.Is(err, sql.ErrNoRows) {
		return cornershop.Session{}, false, nil
	}
	found.Ends = time.UnixMicro(ends)
	return found, err == nil, err
}

// End implements [cornershop.Sessions].
func (s sessions) End(ctx context.Context, id string) error {
	_, err := s.db.change(ctx, "DELETE FROM shop_sessions WHERE id_hash = ?", hashed(id))
	return err
}
