package driver

import (
	"context"

	"onecard/card/profile"
)

// Module answers in the province's place: a terminal's security module (PSAM 卡).
type Module interface {
	// Cryptogram computes the authentication data of a card's key; factors lead
	// to the card's, its own first.
	Cryptogram(ctx context.Context, p *profile.Profile, key profile.Key, factors [][]byte, r1, r2 []byte) ([]byte, error)
}

// internalKey is the key by which a card proves itself (内部认证密钥).
const internalKey = "IRK"

// ReadCardBas reads the holder without the province (iReadCardBas): the module
// proves the card, and the terminal to it.
func (c *Card) ReadCardBas(ctx context.Context, m Module) (string, error) {
	if _, err := c.ReadCardBasStep1(ctx); err != nil {
		return "", err
	}
	_, key, ok := c.profile.Key(internalKey)
	if !ok {
		return "", ErrUnsupported
	}
	answer, err := c.answer(ctx, m, key, c.internal)
	if err == nil && c.external.factor != nil {
		var external string
		external, err = c.answer(ctx, m, c.key, c.external)
		answer = join(answer, external)
	}
	if err != nil {
		return "", err
	}
	return c.ReadCardBasStep2(ctx, answer)
}

// ReadCard reads elements of files behind one key without the province
// (iReadCard).
func (c *Card) ReadCard(ctx context.Context, m Module, cardInfo, fileAddr string) (string, error) {
	if _, err := c.ReadCardStep1(ctx, cardInfo, fileAddr); err != nil {
		return "", err
	}
	answer, err := c.answer(ctx, m, c.key, c.external)
	if err != nil {
		return "", err
	}
	return c.ReadCardStep2(ctx, answer)
}

// WriteCard writes elements of files behind one key without the province
// (iWriteCard).
func (c *Card) WriteCard(ctx context.Context, m Module, cardInfo, fileAddr, writeData string) error {
	if _, err := c.WriteCardStep1(ctx, cardInfo, fileAddr); err != nil {
		return err
	}
	answer, err := c.answer(ctx, m, c.key, c.external)
	if err != nil {
		return err
	}
	return c.WriteCardStep2(ctx, answer, writeData)
}

// answer is what the province's service would answer to a pair.
func (c *Card) answer(ctx context.Context, m Module, key profile.Key, asked pair) (string, error) {
	auth, err := m.Cryptogram(ctx, c.profile, key, c.identity.ModuleFactors(c.profile), asked.factor, asked.original)
	if err != nil {
		return "", err
	}
	return upperHex(auth) + upperHex(asked.original), nil
}
