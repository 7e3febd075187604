package issuance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/apdu"
	"onecard/card"
	"onecard/card/chip"
	"onecard/card/profile"
	"onecard/issuance"
	"onecard/registry"
)

const telephone = "DF01/EF06/telephone"

// write is an item that writes text.
func write(path, text string) card.Item {
	return card.Item{Path: path, Write: &card.Data{Text: text}}
}

// in makes a card that has come to a status.
func (w world) in(t must, status string) (issuance.Card, *chip.Socket) {
	t.Helper()
	if status == issuance.StatusSealed {
		return w.card(t)
	}
	c, socket := w.activated(t)
	event := map[string]string{"2": "reportLoss", "3": issuance.EventSuspend, "4": "reportTemporaryLoss", "9": issuance.EventCancel}[status]
	if event != "" {
		_, err := w.at("W-1", "x", registry.RoleClerk, registry.RoleSupervisor).fireCard(t, c.ID, event, "原因")
		require.NoError(t, err)
	}
	return c, socket
}

// trail returns what is on record of the last chip work on a card.
func (w world) trail(t must, c issuance.Card) (records []registry.AuditRecord) {
	t.Helper()
	all, err := w.db.AuditTrail(t.Context(), "card:"+c.ID.String())
	require.NoError(t, err)
	for _, record := range all {
		if strings.HasPrefix(record.Action, "chip.") {
			records = append(records, record)
		}
	}
	return records
}

// TestWorkRights: who may do which work, and in which status of the card.
func TestWorkRights(t *testing.T) {
	t.Parallel()
	roles := []string{registry.RoleClerk, registry.RoleReviewer, registry.RoleIssuer, registry.RoleSupervisor, registry.RoleCashier, registry.RoleAdmin}
	statuses := []string{issuance.StatusSealed, issuance.StatusNormal, "2", issuance.StatusLocked, "4", issuance.StatusCancelled}
	expected := map[string]struct{ roles, statuses []string }{
		"access":     {[]string{registry.RoleClerk, registry.RoleSupervisor}, []string{issuance.StatusNormal}},
		"refresh":    {[]string{registry.RoleClerk}, []string{issuance.StatusNormal}},
		"resetPIN":   {[]string{registry.RoleClerk}, []string{issuance.StatusNormal}},
		"unblockPIN": {[]string{registry.RoleClerk}, []string{issuance.StatusNormal}},
		"rekey":      {[]string{registry.RoleClerk, registry.RoleIssuer}, []string{issuance.StatusSealed, issuance.StatusNormal}},
		"debit":      {[]string{registry.RoleCashier}, []string{issuance.StatusNormal}},
		"credit":     {[]string{registry.RoleClerk}, []string{issuance.StatusNormal}},
		"blockCard":  {[]string{registry.RoleSupervisor}, []string{issuance.StatusCancelled}},
	}
	require.Len(t, issuance.Works, len(expected))
	each(t, func(t *testing.T, w world) {
		cards, sockets := map[string]issuance.Card{}, map[string]*chip.Socket{}
		for _, status := range statuses {
			cards[status], sockets[status] = w.in(t, status)
		}
		for name, may := range expected {
			for _, status := range statuses {
				c, socket := cards[status], sockets[status]
				sessions := w.count(t, "chip_sessions", "1 = 1")
				for _, role := range roles {
					wanted := issuance.ErrNoRight
					switch {
					case slices.Contains(may.roles, role) && slices.Contains(may.statuses, status):
						continue
					case slices.Contains(may.roles, role):
						wanted = issuance.ErrNotAllowed
					}
					_, err := w.at("W-1", "x", role).open(t, socket, name, c.ID, card.Item{Path: telephone})
					require.ErrorIs(t, err, wanted, "%s %s in %s", name, role, status)
				}
				require.Equal(t, sessions, w.count(t, "chip_sessions", "1 = 1"), "nothing begun")
			}
			for _, role := range may.roles {
				for _, status := range may.statuses {
					c, socket := cards[status], sockets[status]
					_, err := w.at("W-1", "x", role).open(t, socket, name, c.ID, card.Item{Path: telephone})
					require.NoError(t, err, "%s %s in %s", name, role, status)
				}
			}
		}
		for _, status := range statuses {
			for _, role := range roles {
				var offered []string
				for _, work := range w.CardWorks(issuance.Card{Status: status}, []string{role}) {
					offered = append(offered, work.Name)
				}
				for name, may := range expected {
					button := name != issuance.WorkDebit && name != issuance.WorkCredit
					require.Equal(t, button && slices.Contains(may.roles, role) && slices.Contains(may.statuses, status), slices.Contains(offered, name), "%s to %s in %s", name, role, status)
				}
			}
		}
		require.NoError(t, w.db.VerifyAudit(t.Context()))
	})
}

// TestWorkLostMeanwhile: the loss of a card is reported while work on it is
// being prepared; it does not begin.
func TestWorkLostMeanwhile(t *testing.T) {
	t.Parallel()
	eachBusy(t, func(t *testing.T, w world, keeper *busy) {
		c, socket := w.activated(t)
		opening := w.clerk().opening(t, socket, issuance.WorkResetPIN, c.ID)
		keeper.meanwhile = func() {
			_, err := w.clerk().fireCard(t, c.ID, "reportLoss", "")
			require.NoError(t, err)
		}
		_, err := w.OpenSession(t.Context(), w.clerk().actor, opening)
		require.ErrorIs(t, err, issuance.ErrNotAllowed)
		require.Empty(t, w.trail(t, c))
	})
}

// TestAccess writes and reads elements: what was done is on record by its
// paths, without values.
func TestAccess(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		job := card.Item{Path: "DF02/EF07", Write: &card.Data{Parts: map[string]string{"occupation": "1010100", "from": "20240101", "employer": "青海牧业"}}}
		r, _, err := w.clerk().work(t, socket, issuance.WorkAccess, c.ID, "", write(telephone, "09718123456"), job, card.Item{Path: "SSSE/EF06/name"})
		require.NoError(t, err)
		require.True(t, r.Genuine)
		require.Equal(t, issuance.StatusNormal, r.Status)
		require.Equal(t, "09718123456", values(r.Fields)["telephone"])
		require.Equal(t, "扎西·多杰", values(r.Fields)["name"])
		trail := w.trail(t, c)
		require.Equal(t, "chip.access", trail[0].Action)
		require.Equal(t, map[string]string{"read": "SSSE/EF06/name", "written": telephone + " DF02/EF07"}, trail[0].Detail)
		require.Equal(t, "caiwang", trail[0].Actor.Operator)
		require.Zero(t, w.count(t, "audit_entries", "detail LIKE ?", "%09718123456%"))

		_, other := w.activated(t)
		for name, test := range map[string]struct {
			item   card.Item
			socket *chip.Socket
			err    error
		}{
			"the holder's name by hand": {write("SSSE/EF06/name", "马秀兰"), socket, issuance.ErrOwnedByRecord},
			"the issuer by hand":        {write("SSSE/EF05/cardType", "2"), socket, issuance.ErrOwnedByRecord},
			"the balance by hand":       {write("DF04/EF06/tag92", "12345"), socket, issuance.ErrOwnedByAccount},
			"the photograph by hand":    {write("SSSE/EF08", "FFD8"), socket, issuance.ErrOwnedByRecord},
			"no such element":           {card.Item{Path: "DF01/EF06/fax"}, socket, card.ErrNoTarget},
			"no such file":              {write("DF09/EF05/x", "1"), socket, card.ErrNoTarget},
			"only the card writes it":   {card.Item{Path: "DF04/EF08", Write: &card.Data{}}, socket, issuance.ErrOwnedByAccount},
			"another card":              {card.Item{Path: telephone}, other, issuance.ErrOtherCard},
		} {
			_, err := w.clerk().open(t, test.socket, issuance.WorkAccess, c.ID, test.item)
			require.ErrorIs(t, err, test.err, name)
		}
		var encode *card.EncodeError
		_, err = w.clerk().open(t, socket, issuance.WorkAccess, c.ID, write(telephone, "0123456789012345"))
		require.ErrorAs(t, err, &encode)
		require.Equal(t, "至多 15 字节", encode.Expected.ZH)
		_, err = w.clerk().open(t, socket, issuance.WorkAccess, c.ID, write("DF01/EF09/employerName", "青海𠮷牧业"))
		require.ErrorAs(t, err, &encode)
		require.Equal(t, '𠮷', encode.Rune)
		require.Equal(t, 3, encode.Position)
		_, err = w.clerk().open(t, socket, issuance.WorkAccess, c.ID)
		require.ErrorIs(t, err, card.ErrNoTarget, "nothing to do")
		_, err = w.clerk().open(t, socket, issuance.WorkRefresh, c.ID, write(telephone, "1"))
		require.ErrorIs(t, err, issuance.ErrOwnedByRecord, "values with work that takes none")
		require.Len(t, w.trail(t, c), 1, "what is refused is not begun")
		r, _, err = w.supervisor().work(t, socket, issuance.WorkAccess, c.ID, "", card.Item{Path: telephone})
		require.NoError(t, err)
		require.Equal(t, "09718123456", values(r.Fields)["telephone"])
	})
}

// TestAccessWithPIN reads and writes what asks for the holder's number and for
// the province's key. The chip is given the number, the platform never is: it
// asks for none, and takes the answers without one.
func TestAccessWithPIN(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		amount := write("DF04/EF06/tag93", "12")
		turn, err := w.clerk().open(t, socket, issuance.WorkAccess, c.ID, amount)
		require.NoError(t, err)
		for turn.Script != nil {
			require.False(t, turn.NeedsPIN)
			script, err := json.Marshal(turn.Script)
			require.NoError(t, err)
			require.NotContains(t, string(script), pin)
			turn, err = w.clerk().Step(t.Context(), w.clerk().actor, turn.Session, turn.Seq, answerWithPIN(t, socket, turn, pin), "")
			require.NoError(t, err)
		}
		require.Equal(t, "12", values(result(t, turn).Fields)["tag93"])

		_, _, err = w.clerk().work(t, socket, issuance.WorkAccess, c.ID, "999999", card.Item{Path: amount.Path})
		var refused *card.PINError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, province.profile.PIN.Tries-1, refused.Left)
	})
}

// TestRefresh: the name of a person was corrected; the card is brought up to
// date from the record.
func TestRefresh(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		w.renamed(t, c, longName)
		r, _, err := w.clerk().work(t, socket, issuance.WorkRefresh, c.ID, "")
		require.NoError(t, err)
		require.Equal(t, longName, values(r.Fields)["name"]+values(r.Fields)["nameExtension"])
		trail := w.trail(t, c)
		require.Equal(t, "chip.refresh", trail[0].Action)
		require.Contains(t, trail[0].Detail["written"], "SSSE/EF06/name SSSE/EF06/nameExtension")
		require.NotContains(t, fmt.Sprint(trail[0].Detail), "阿旺")

		w.renamed(t, c, "马秀兰")
		_, _, err = w.clerk().work(t, socket, issuance.WorkRefresh, c.ID, "")
		require.NoError(t, err)
		read, _, err := w.clerk().work(t, socket, "read", c.ID, "")
		require.NoError(t, err)
		require.Equal(t, "马秀兰", values(read.Fields)["name"])
		require.Empty(t, values(read.Fields)["nameExtension"], "nothing of the old name is left")
		require.Equal(t, c.Number, values(read.Fields)["cardNumber"])

		w.renamed(t, c, "𠮷玉兰")
		_, err = w.clerk().open(t, socket, issuance.WorkRefresh, c.ID)
		var encode *card.EncodeError
		require.ErrorAs(t, err, &encode)
		require.Equal(t, '𠮷', encode.Rune)
	})
}

// renamed corrects the name of a card's holder in the record.
func (w world) renamed(t must, c issuance.Card, name string) {
	t.Helper()
	w.change(t, func(tx *registry.Tx) error {
		_, err := tx.CorrectPerson(c.PersonID, 0, "更名 changed name", func(told *registry.NewPerson) { told.Name = name })
		return err
	})
}

// TestPINWork sets a new number and gives attempts back; the card's status and
// its history stay as they are.
func TestPINWork(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		channel := apdu.NewChannel(socket)
		verify := func(number string) error {
			socket.Chip.PowerOn()
			_, err := card.Run(t.Context(), channel, card.Opening(province.profile, card.ChallengeLength), nil)
			require.NoError(t, err)
			return card.VerifyPIN(t.Context(), channel, province.profile, number)
		}
		for range province.profile.PIN.Tries {
			require.Error(t, verify("000000"))
		}
		require.ErrorIs(t, verify(pin), apdu.ErrBlockedKey)
		_, _, err := w.clerk().work(t, socket, issuance.WorkUnblockPIN, c.ID, "")
		require.NoError(t, err)
		require.NoError(t, verify(pin), "the number is as it was")

		_, _, err = w.clerk().work(t, socket, issuance.WorkResetPIN, c.ID, "12345")
		require.ErrorIs(t, err, card.ErrPINFormat)
		r, _, err := w.clerk().work(t, socket, issuance.WorkResetPIN, c.ID, "314159")
		require.NoError(t, err)
		require.Equal(t, issuance.StatusNormal, r.Status)
		require.Error(t, verify(pin))
		require.NoError(t, verify("314159"))
		require.Equal(t, 1, w.count(t, "card_status_log", "card_id = ?", c.ID), "the activation only")
		require.Equal(t, "chip.resetPIN", w.trail(t, c)[0].Action)
		require.Empty(t, w.trail(t, c)[0].Detail)
	})
}

// TestRekey: the province has newer keys; a card in the field gets them, its
// record says so, and it is read and worked on with them.
func TestRekey(t *testing.T) {
	t.Parallel()
	keeper, err := newKeeper("rekey.json")
	require.NoError(t, err)
	for _, info := range keeper.Keys() {
		if info.Depth == 2 {
			_, err := keeper.Rotate(info.Name)
			require.NoError(t, err)
		}
	}
	each(t, func(t *testing.T, w world) {
		with := func(version int) {
			policies, err := issuance.ParsePolicies([]byte(strings.Replace(line, "keyVersion: 1", fmt.Sprintf("keyVersion: %d", version), 1)))
			require.NoError(t, err)
			w.Service, err = issuance.New(issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands, Policies: policies})
			require.NoError(t, err)
		}
		with(1)
		c, socket := w.activated(t)
		require.Equal(t, 1, c.KeyVersion)
		with(2)
		turn, err := w.issuer().open(t, socket, issuance.WorkRekey, c.ID)
		require.NoError(t, err)
		answer(t, socket, turn) // carried out, and the line broke
		still, err := w.Card(t.Context(), c.ID)
		require.NoError(t, err)
		require.Equal(t, 1, still.KeyVersion)
		for range 2 { // again is no harm
			r, _, err := w.issuer().work(t, socket, issuance.WorkRekey, c.ID, "")
			require.NoError(t, err)
			require.True(t, r.Genuine)
			changed, err := w.Card(t.Context(), c.ID)
			require.NoError(t, err)
			require.Equal(t, 2, changed.KeyVersion)
		}
		image, err := socket.Chip.Image()
		require.NoError(t, err)
		for name, slot := range image.Keys {
			require.Equal(t, byte(2), slot.Version, name)
		}
		r, _, err := w.clerk().work(t, socket, "read", c.ID, "")
		require.NoError(t, err)
		require.True(t, r.Genuine)
		r, _, err = w.clerk().work(t, socket, issuance.WorkAccess, c.ID, "", write(telephone, "09718123456"))
		require.NoError(t, err)
		require.Equal(t, "09718123456", values(r.Fields)["telephone"])
		_, _, err = w.clerk().work(t, socket, issuance.WorkResetPIN, c.ID, pin)
		require.NoError(t, err)
		with(1)
		_, err = w.issuer().open(t, socket, issuance.WorkRekey, c.ID)
		require.ErrorIs(t, err, card.ErrNewerKeys)
	})
}

// TestBlockCard ends a cancelled card for ever.
func TestBlockCard(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		c, socket := w.activated(t)
		_, err := w.supervisor().open(t, socket, issuance.WorkBlockCard, c.ID)
		require.ErrorIs(t, err, issuance.ErrNotAllowed)
		_, err = w.supervisor().fireCard(t, c.ID, "cancel", "换发")
		require.NoError(t, err)
		r, _, err := w.supervisor().work(t, socket, issuance.WorkBlockCard, c.ID, "")
		require.NoError(t, err)
		require.Equal(t, issuance.StatusCancelled, r.Status)
		require.Equal(t, "chip.blockCard", w.trail(t, c)[0].Action)
		for _, operation := range []string{issuance.WorkBlockCard, "read"} {
			_, err = w.supervisor().open(t, socket, operation, c.ID)
			require.ErrorIs(t, err, card.ErrCardBlocked, operation)
		}
	})
}

// TestVersions: which specification versions new cards may be of is the
// policy's; a card of any of them is made and worked on.
func TestVersions(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w world) {
		for _, version := range []string{"1.00", "2.00"} {
			p, err := profile.ByVersion(province.profiles, version)
			require.NoError(t, err)
			socket, a := blankOf(t, p, makerKey), w.numbered(t)
			_, err = w.issuer().open(t, socket, issuance.EventPersonalise, a.ID)
			require.ErrorIs(t, err, issuance.ErrSpecVersion)
			var refusal *issuance.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, "空白卡的规范版本是 "+version+"，此地新卡应为 3.00", refusal.Text.ZH)
			require.Zero(t, w.count(t, "personalisations", "application_id = ?", a.ID), "nothing begun")

			_, err = w.making(t, version).issuer().open(t, socket, issuance.EventPersonalise, a.ID)
			require.NoError(t, err)
			// What was begun is ended, whatever the policy has become.
			r, _, err := w.issuer().work(t, socket, issuance.EventPersonalise, a.ID, "")
			require.NoError(t, err, version)
			c, err := w.Card(t.Context(), r.CardID)
			require.NoError(t, err)
			require.Equal(t, version, c.SpecVersion)
			w.workOn(t, c, socket)
		}
	})
}

// making returns a world whose new cards are of a specification version.
func (w world) making(t must, version string) world {
	t.Helper()
	policies, err := issuance.ParsePolicies([]byte(strings.Replace(line, "3.00", version, 1)))
	require.NoError(t, err)
	keeper, err := province.keeper()
	require.NoError(t, err)
	w.Service, err = issuance.New(issuance.Config{DB: w.db, Profiles: province.profiles, Keeper: keeper, Signer: province.signer, Demands: issuance.NoDemands, Policies: policies})
	require.NoError(t, err)
	return w
}

// workOn activates a card and does every work on it, to its end.
func (w world) workOn(t must, c issuance.Card, socket *chip.Socket) {
	t.Helper()
	for _, step := range []struct {
		who       counter
		operation string
		items     []card.Item
	}{
		{w.clerk(), issuance.EventActivate, nil},
		{w.clerk(), issuance.WorkAccess, []card.Item{write(telephone, "09718123456")}},
		{w.clerk(), issuance.WorkRefresh, nil},
		{w.clerk(), issuance.WorkResetPIN, nil},
		{w.clerk(), issuance.WorkUnblockPIN, nil},
		{w.issuer(), issuance.WorkRekey, nil},
		{w.supervisor(), issuance.EventLock, nil},
		{w.supervisor(), issuance.EventUnlock, nil},
		{w.clerk(), "read", nil},
	} {
		r, _, err := step.who.work(t, socket, step.operation, c.ID, pin, step.items...)
		require.NoError(t, err, "%s %s", c.SpecVersion, step.operation)
		require.True(t, r.Genuine, "%s %s", c.SpecVersion, step.operation)
	}
	_, err := w.supervisor().fireCard(t, c.ID, "cancel", "换发")
	require.NoError(t, err)
	_, _, err = w.supervisor().work(t, socket, issuance.WorkBlockCard, c.ID, "")
	require.NoError(t, err)
	_, err = w.clerk().open(t, socket, "read", c.ID)
	require.ErrorIs(t, err, card.ErrCardBlocked)
}
