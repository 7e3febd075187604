package notice_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/api/pki"
	"onecard/issuance"
	"onecard/issuance/notice"
	"onecard/issuance/tell"
	"onecard/registry"
	"onecard/registry/registrytest"
)

// TestTexts: every event of which holders are told has words, and no more.
func TestTexts(t *testing.T) {
	t.Parallel()
	_, err := notice.Built()
	require.NoError(t, err)
	for name, content := range map[string]string{
		"words missing": "{}", "no such event": "card.explode: x", "unknown field": `card.cancel: "{number}"`, "no list": "- x",
	} {
		_, err := notice.Parse([]byte(content), issuance.Machines()...)
		require.ErrorIs(t, err, notice.ErrTexts, name)
	}
}

// TestFiles: a holder's notices lie in the gateway's directory, sealed, each
// once however often it is handed over; who has no telephone is told as such.
func TestFiles(t *testing.T) {
	t.Parallel()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		authority, err := pki.Open(filepath.Join(t.TempDir(), "pki"), nil, clock.Now)
		require.NoError(t, err)
		gateway := notice.Files{Dir: filepath.Join(t.TempDir(), "sms"), To: func() (*tls.Certificate, error) { return authority.Exchange() }}
		texts, err := notice.Built()
		require.NoError(t, err)
		sender := &notice.Sender{DB: db, Texts: texts, Gateway: gateway}
		carrier := tell.Carrier{DB: db, Deliverers: map[string]tell.Deliverer{tell.Holder: sender}, Place: "630000", Logger: slog.New(slog.DiscardHandler)}
		actor := registry.Actor{Operator: "caiwang", Workstation: "W-1", Place: "632723"}
		until := registrytest.Start.Add(7 * 24 * time.Hour)
		tellOne := func(number, phone string) {
			require.NoError(t, db.InTx(t.Context(), actor, func(tx *registry.Tx) error {
				person, err := tx.AddPerson(registry.NewPerson{IDNumber: number, Name: "扎西·多杰", Ethnic: "04", Place: "632723", Phone: phone})
				if err != nil {
					return err
				}
				return tell.Write(tx, tell.Message{Peer: tell.Holder, Topic: issuance.TopicNotice, Place: "632723", Subject: "person:" + person.ID.String(),
					Body: issuance.Notice{Machine: "card", Event: "reportTemporaryLoss", State: "4", Until: &until}})
			}))
		}
		tellOne("63272319810501001X", "12000000001")
		tellOne("632723198105010036", "")
		n, err := carrier.Turn(t.Context(), tell.Holder)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		messages, err := gateway.Waiting()
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.Equal(t, "12000000001", messages[0].Phone)
		require.Equal(t, "扎先生/女士：您的社会保障卡已临时挂失，2026年3月9日09时00分自动解除；如需补卡请办理正式挂失。", messages[0].Text)
		require.NoError(t, gateway.Send(t.Context(), messages[0]))
		entries, err := os.ReadDir(gateway.Dir)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		content, err := os.ReadFile(filepath.Join(gateway.Dir, entries[0].Name()))
		require.NoError(t, err)
		require.False(t, bytes.Contains(content, []byte("12000000001")))
		var refused int64
		require.NoError(t, db.Read(t.Context()).Table("deliveries").Where("state = ? AND code = 'no-phone'", tell.Refused).Count(&refused).Error)
		require.EqualValues(t, 1, refused)
	})
}
