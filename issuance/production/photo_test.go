package production_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/issuance"
	"onecard/registry"
)

// attach puts a photograph into a person's file and returns it as it is stored.
func (w *world) attach(t testing.TB, person uuid.UUID, shade uint8) []byte {
	t.Helper()
	picture := image.NewGray(image.Rect(0, 0, 358, 441))
	for i := range picture.Pix {
		picture.Pix[i] = 255
	}
	picture.SetGray(179, 220, color.Gray{Y: shade})
	var content bytes.Buffer
	require.NoError(t, png.Encode(&content, picture))
	checked, err := registry.CheckContent("photo", content.Bytes())
	require.NoError(t, err)
	var kept registry.Attachment
	w.change(t, func(tx *registry.Tx) (err error) {
		kept, err = tx.Attach(person, checked, "窗口拍摄")
		return err
	})
	_, stored, err := w.db.OpenAttachment(t.Context(), registry.Actor{Operator: "admin", Place: "630000"}, person, kept.ID, "")
	require.NoError(t, err)
	return stored
}

// TestPhotograph: the maker prints the photograph that the applicant confirmed and
// the review saw, though another came after the chip was bound; who has none gets
// a card without.
func TestPhotograph(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		birth, err := gb.ParseDate("1981-05-01")
		require.NoError(t, err)
		number, err := gb.NewIDNumber("632723", birth, 901)
		require.NoError(t, err)
		var a issuance.Application
		w.change(t, func(tx *registry.Tx) error {
			person, err := tx.AddPerson(registry.NewPerson{IDNumber: number.String(), Name: "扎西·多杰", Ethnic: "04", Place: "632723"})
			if err != nil {
				return err
			}
			a, err = w.issuance.Apply(tx, issuance.Request{Person: person.ID, Kind: issuance.KindFirst, Method: issuance.MethodBatch})
			return err
		})
		confirmed := w.attach(t, a.PersonID, 7)
		w.change(t, func(tx *registry.Tx) error {
			proof, err := w.issuance.ProofPicture(tx, a.ID)
			if err != nil {
				return err
			}
			_, err = w.issuance.ConfirmProof(tx, a.ID, proof.Digest)
			return err
		})
		require.NoError(t, w.db.InTx(t.Context(), registry.Actor{Operator: "lihong", Place: "632723"}, func(tx *registry.Tx) (err error) {
			a, err = w.issuance.Fire(tx, a.ID, issuance.Asked{Event: issuance.EventApprove, Roles: []string{registry.RoleReviewer}})
			return err
		}))
		w.chips(t, 2)
		w.waiting(t, 1)
		_, err = w.Create(t.Context(), producer, order("B-1", 2))
		require.NoError(t, err)
		first, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(w.config.Dir, first.Name)))
		require.NotEqual(t, confirmed, w.attach(t, a.PersonID, 9))
		again, err := w.Send(t.Context(), producer, "B-1")
		require.NoError(t, err)

		_, err = w.plant.Make(t.Context(), filepath.Join(w.config.Dir, again.Name))
		require.NoError(t, err)
		printed, err := filepath.Glob(filepath.Join(w.plant.Dir, "faces", "*"))
		require.NoError(t, err)
		require.Equal(t, []string{filepath.Join(w.plant.Dir, "faces", a.CardNumber+".png")}, printed)
		content, err := os.ReadFile(printed[0])
		require.NoError(t, err)
		require.Equal(t, confirmed, content)
	})
}
