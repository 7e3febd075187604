package issuance

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"onecard/registry"
)

// ProofPicture is what the applicant is shown of the card to be made: the words
// and the photograph of its face (校样). It holds personal data.
type ProofPicture struct {
	Name, NameTibetan, Number string
	Photo                     *uuid.UUID // the attachment; nil: a card without a photograph
	Digest                    string     // of the photograph, by which it is confirmed
	ConfirmedBy               string
	ConfirmedAt               *time.Time // that this very photograph was confirmed
}

// ProofPicture returns the proof of an application. Who asked is on record.
func (s *Service) ProofPicture(tx *registry.Tx, id uuid.UUID) (ProofPicture, error) {
	var row applicationRow
	if err := tx.DB().Where("id = ?", id).Take(&row).Error; err != nil {
		return ProofPicture{}, err
	}
	person, err := tx.PersonByID(row.PersonID)
	if err != nil {
		return ProofPicture{}, err
	}
	brought, err := tx.Brought(row.PersonID)
	if err != nil {
		return ProofPicture{}, err
	}
	proof := ProofPicture{Name: person.Name, NameTibetan: person.NameTibetan, Number: person.Number()}
	if brought.PhotoDigest != nil {
		proof.Photo, proof.Digest = &brought.Photo, hex.EncodeToString(brought.PhotoDigest)
		if bytes.Equal(brought.PhotoDigest, row.PhotoIndex) {
			proof.ConfirmedAt, proof.ConfirmedBy = row.ConfirmedAt, *row.ConfirmedBy
		}
	}
	return proof, tx.Audit("application.proof", "application:"+id.String(), nil)
}

// ConfirmProof records that the applicant has looked at the proof with the
// photograph of that digest and found it right (校样确认). Errors: ErrNoPhoto,
// registry.ErrStale when the photograph is another one meanwhile, ErrNotAllowed
// once it was reviewed.
func (s *Service) ConfirmProof(tx *registry.Tx, id uuid.UUID, digest string) (Application, error) {
	row, err := lockApplication(tx, id)
	if err != nil {
		return Application{}, err
	}
	if row.State != StateDraft && row.State != StateApplied && row.State != StateReturned {
		return Application{}, ErrNotAllowed
	}
	brought, err := tx.Brought(row.PersonID)
	switch {
	case err != nil:
		return Application{}, err
	case brought.PhotoDigest == nil:
		return Application{}, ErrNoPhoto
	case hex.EncodeToString(brought.PhotoDigest) != digest:
		return Application{}, registry.ErrStale
	}
	by := tx.Actor().Operator
	row.PhotoIndex, row.ConfirmedAt, row.ConfirmedBy = brought.PhotoDigest, new(tx.Now()), &by
	changes := map[string]any{"photo_index": row.PhotoIndex, "confirmed_at": row.ConfirmedAt, "confirmed_by": by}
	if err := tx.DB().Model(&applicationRow{}).Where("id = ? AND state = ?", id, row.State).Updates(changes).Error; err != nil {
		return Application{}, fmt.Errorf("confirm the proof: %w", err)
	}
	detail := map[string]string{"applicant": row.Applicant, "photo": brought.Photo.String()}
	return row.domain(), tx.Audit("application.confirmed", "application:"+id.String(), detail)
}

// confirmed refuses to review an application whose photograph the applicant has
// not confirmed.
func confirmed(tx *registry.Tx, row applicationRow) error {
	brought, err := tx.Brought(row.PersonID)
	if err != nil {
		return err
	}
	if brought.PhotoDigest != nil && !bytes.Equal(brought.PhotoDigest, row.PhotoIndex) {
		return ErrUnconfirmed
	}
	return nil
}
