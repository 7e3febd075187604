package issuance

import (
	"github.com/google/uuid"

	"onecard/registry"
)

// Stock is who keeps the blank cards (空白卡库存). A chip is taken from it when its
// personalisation begins, becomes a card when that ends, and is waste when it
// is given up; each in the transaction in which that comes on record.
type Stock interface {
	Use(tx *registry.Tx, serial string, application uuid.UUID) error
	Made(tx *registry.Tx, serial string, card uuid.UUID) error
	Spoil(tx *registry.Tx, serial, reason string) error
}

// noStock is a province that keeps no account of its blanks here.
type noStock struct{}

func (noStock) Use(*registry.Tx, string, uuid.UUID) error  { return nil }
func (noStock) Made(*registry.Tx, string, uuid.UUID) error { return nil }
func (noStock) Spoil(*registry.Tx, string, string) error   { return nil }
