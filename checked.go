package codegrant

import (
	"context"
	"errors"
)

// checkedStore refuses a record that is not the one asked for, as a store
// returns whose look-ups ignore case, or one that forgets its error: nobody is
// charged, shown or unbound by somebody else's record.
type checkedStore struct{ TokenStore }

func (s checkedStore) Get(ctx context.Context, id string) (Token, error) {
	t, err := s.TokenStore.Get(ctx, id)
	if err == nil && t.ID != id {
		return Token{}, errWrongRecord()
	}
	return t, err
}

func (s checkedStore) ByFingerprint(ctx context.Context, fingerprint string) (Token, error) {
	t, err := s.TokenStore.ByFingerprint(ctx, fingerprint)
	if err == nil && (fingerprint == "" || t.Fingerprint != fingerprint) {
		return Token{}, errWrongRecord()
	}
	return t, err
}

func (s checkedStore) ByUser(ctx context.Context, accountID, userID string) ([]Token, error) {
	tokens, err := s.TokenStore.ByUser(ctx, accountID, userID)
	if err != nil {
		return nil, err
	}
	for _, t := range tokens {
		if t.ID == "" || t.AccountID != accountID || t.UserID != userID {
			return nil, errWrongRecord()
		}
	}
	return tokens, nil
}

func errWrongRecord() error { return errors.New("the store returned a record that was not asked for") }

// checkedTxStore does the same inside its transactions.
type checkedTxStore struct{ TxStore }

func (s checkedTxStore) InTx(ctx context.Context, fn func(ctx context.Context, tx TokenStore) error) error {
	return s.TxStore.InTx(ctx, func(ctx context.Context, tx TokenStore) error {
		return fn(ctx, checkedStore{tx})
	})
}

// checkedPayments is checkedStore for payments.
type checkedPayments struct{ PaymentStore }

func (s checkedPayments) GetPayment(ctx context.Context, id string) (Payment, error) {
	p, err := s.PaymentStore.GetPayment(ctx, id)
	if err == nil && p.ID != id {
		return Payment{}, errWrongRecord()
	}
	return p, err
}
