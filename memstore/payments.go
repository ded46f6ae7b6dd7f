package memstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

// GetPayment implements [codegrant.PaymentStore].
func (s *Store) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	if err := ctx.Err(); err != nil {
		return codegrant.Payment{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.payments[id]
	if !ok {
		return codegrant.Payment{}, codegrant.ErrNotFound
	}
	return own(p), nil
}

// SavePayment implements [codegrant.PaymentStore].
func (s *Store) SavePayment(ctx context.Context, p codegrant.Payment) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.payments[p.ID].Revision != p.Revision-1 {
		return codegrant.ErrConflict
	}
	s.payments[p.ID] = own(p)
	return nil
}

// UnsettledPayments implements [codegrant.PaymentStore].
func (s *Store) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Payment, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []codegrant.Payment
	for _, p := range s.payments {
		if !p.UnsettledSince.IsZero() && !p.UnsettledSince.After(olderThan) {
			found = append(found, own(p))
		}
	}
	slices.SortFunc(found, func(a, b codegrant.Payment) int {
		return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
	})
	return found[:min(max(limit, 0), len(found))], nil
}

// own returns p without any memory that the caller keeps.
func own(p codegrant.Payment) codegrant.Payment {
	p.Refunds = slices.Clone(p.Refunds)
	return p
}
