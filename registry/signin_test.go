package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"onecard/registry"
	"onecard/registry/registrytest"
)

const password = "correct horse 42"

var (
	office   = registry.Institution{ID: "office-630102", Kind: registry.KindOffice, Name: "城东区示例经办处", Place: "630102"}
	hospital = registry.Institution{ID: "H630102001", Kind: registry.KindHospital, Name: "示例医院", Place: "630102", Level: 3}
	counter1 = registry.Workstation{ID: "W-630102-01", Institution: office.ID, Place: "630102", Kind: registry.KindCounter}
	counter2 = registry.Workstation{ID: "W-630102-02", Institution: office.ID, Place: "630102", Kind: registry.KindCounter, CertFingerprint: strings.Repeat("0a", 32)}
	cashdesk = registry.Workstation{ID: "W-H630102001-01", Institution: hospital.ID, Place: "630102", Kind: registry.KindHospital}
	zhang    = registry.Operator{Login: "zhangying", Name: "张英", Roles: []string{registry.RoleClerk, registry.RoleIssuer}, Institution: office.ID, Place: "630102"}
)

// staff records two institutions, three workstations and one operator.
func staff(t *testing.T, db *registry.DB) {
	t.Helper()
	require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error {
		return errors.Join(
			tx.AddInstitution(office), tx.AddInstitution(hospital),
			tx.AddWorkstation(counter1), tx.AddWorkstation(counter2), tx.AddWorkstation(cashdesk),
			tx.AddOperator(zhang, password),
		)
	}))
}

func eachStaffed(t *testing.T, test func(t *testing.T, db *registry.DB, clock *registrytest.Clock)) {
	t.Helper()
	registrytest.EachClock(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		staff(t, db)
		test(t, db, clock)
		require.NoError(t, db.VerifyAudit(t.Context()))
	})
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	eachStaffed(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		session, err := db.Authenticate(t.Context(), " ZhangYing ", password, counter1.ID)
		require.NoError(t, err)
		require.Equal(t, zhang, session.Operator)
		require.Equal(t, counter1.ID, session.Workstation)
		require.True(t, session.ExpiresAt.Equal(clock.Now().Add(12*time.Hour)))
		require.Len(t, session.Token, 43)

		operator, err := db.SessionOperator(t.Context(), session.Token, counter1.ID)
		require.NoError(t, err)
		require.Equal(t, zhang, operator)
		require.True(t, operator.Has(registry.RoleIssuer))
		require.False(t, operator.Has(registry.RoleAdmin))
		require.Equal(t, clerk, operator.Actor(counter1.ID))

		for _, c := range []struct{ token, workstation string }{
			{session.Token, counter2.ID}, {session.Token[1:], counter1.ID}, {"", counter1.ID},
		} {
			_, err = db.SessionOperator(t.Context(), c.token, c.workstation)
			require.ErrorIs(t, err, registry.ErrSession)
			require.ErrorIs(t, db.SignOut(t.Context(), c.token, c.workstation), registry.ErrSession)
		}
		require.NoError(t, db.SignOut(t.Context(), session.Token, counter1.ID))
		_, err = db.SessionOperator(t.Context(), session.Token, counter1.ID)
		require.ErrorIs(t, err, registry.ErrSession)
		require.Equal(t, []string{"operator.signed-out", "operator.signed-in", "operator.added"}, actions(t, db, "operator:zhangying"))
	})
}

func actions(t *testing.T, db *registry.DB, subject string) []string {
	t.Helper()
	trail, err := db.AuditTrail(t.Context(), subject)
	require.NoError(t, err)
	words := make([]string, len(trail))
	for i, record := range trail {
		words[i] = record.Action
	}
	return words
}

func TestSessionEnds(t *testing.T) {
	t.Parallel()
	eachStaffed(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		signIn := func(workstation string) string {
			session, err := db.Authenticate(t.Context(), zhang.Login, password, workstation)
			require.NoError(t, err)
			return session.Token
		}
		valid := func(token, workstation string) bool {
			_, err := db.SessionOperator(t.Context(), token, workstation)
			if err != nil {
				require.ErrorIs(t, err, registry.ErrSession)
			}
			return err == nil
		}
		idle := signIn(counter1.ID)
		clock.Advance(30*time.Minute - time.Second)
		require.True(t, valid(idle, counter1.ID), "its use prolongs it")
		clock.Advance(30*time.Minute - time.Second)
		require.True(t, valid(idle, counter1.ID))
		clock.Advance(30 * time.Minute)
		require.False(t, valid(idle, counter1.ID), "unused")

		old := signIn(counter1.ID)
		for range 12*3 - 1 {
			clock.Advance(20 * time.Minute)
			require.True(t, valid(old, counter1.ID))
		}
		clock.Advance(20 * time.Minute)
		require.False(t, valid(old, counter1.ID), "however used")

		first, other := signIn(counter1.ID), signIn(counter2.ID)
		second := signIn(counter1.ID)
		require.False(t, valid(first, counter1.ID), "one session for each operator and workstation")
		require.True(t, valid(second, counter1.ID))
		require.True(t, valid(other, counter2.ID))

		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.DisableWorkstation(counter2.ID) }))
		require.False(t, valid(other, counter2.ID))
		_, err := db.Authenticate(t.Context(), zhang.Login, password, counter2.ID)
		require.ErrorIs(t, err, registry.ErrNotFound)

		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.SetPassword(zhang.Login, "another horse") }))
		require.False(t, valid(second, counter1.ID))
		_, err = db.Authenticate(t.Context(), zhang.Login, password, counter1.ID)
		require.ErrorIs(t, err, registry.ErrSignIn)

		session, err := db.Authenticate(t.Context(), zhang.Login, "another horse", counter1.ID)
		require.NoError(t, err)
		require.NoError(t, db.InTx(t.Context(), clerk, func(tx *registry.Tx) error { return tx.DisableOperator(zhang.Login) }))
		require.False(t, valid(session.Token, counter1.ID))
		_, err = db.Authenticate(t.Context(), zhang.Login, "another horse", counter1.ID)
		require.ErrorIs(t, err, registry.ErrSignIn)
	})
}

// TestGuessing: a login that exists and one that does not cannot be told apart.
func TestGuessing(t *testing.T) {
	t.Parallel()
	eachStaffed(t, func(t *testing.T, db *registry.DB, clock *registrytest.Clock) {
		guess := func(login, password string) error {
			_, err := db.Authenticate(t.Context(), login, password, counter1.ID)
			return err
		}
		for _, login := range []string{zhang.Login, "nobody", "身份证", ""} {
			for range 5 {
				require.ErrorIs(t, guess(login, "wrong"), registry.ErrSignIn, login)
			}
			require.ErrorIs(t, guess(login, "wrong"), registry.ErrSignInLocked, login)
			require.ErrorIs(t, guess(login, password), registry.ErrSignInLocked, login)
		}
		clock.Advance(15*time.Minute - time.Second)
		require.ErrorIs(t, guess(zhang.Login, password), registry.ErrSignInLocked)
		clock.Advance(time.Second)
		require.NoError(t, guess(zhang.Login, password))
		require.Equal(t, []string{"operator.refused", "operator.refused"}, actions(t, db, "operator:unknown")[:2])

		for range 3 { // a success, or time, forgets the failures before it
			for range 4 {
				require.ErrorIs(t, guess(zhang.Login, "wrong"), registry.ErrSignIn)
			}
			require.NoError(t, guess(zhang.Login, password))
		}
		for range 6 {
			require.ErrorIs(t, guess(zhang.Login, "wrong"), registry.ErrSignIn)
			clock.Advance(15*time.Minute + time.Second)
		}
		clock.Advance(time.Hour)
		require.NoError(t, guess(zhang.Login, password))
		require.Zero(t, rows(t, db, "sign_in_failures"), "what was noted of unknown logins does not stay")
	})
}

// TestGuessingAtTheSameTime: guesses made at once count one after the other.
func TestGuessingAtTheSameTime(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		const guessers, guesses = 8, 6
		config := registrytest.Config(dsn, registrytest.NewClock())
		config.SignIn.MaxFailures = guessers*guesses + 2
		config.SignIn.Cost = registry.PasswordCost{MemoryKiB: 8, Passes: 1, Lanes: 1}
		db := registrytest.Open(t, config)
		staff(t, db)
		guess := func() error {
			_, err := db.Authenticate(t.Context(), zhang.Login, "wrong", counter1.ID)
			return err
		}
		require.ErrorIs(t, guess(), registry.ErrSignIn)
		together(guessers, func(int) {
			for range guesses {
				assert.ErrorIs(t, guess(), registry.ErrSignIn)
			}
		})
		require.ErrorIs(t, guess(), registry.ErrSignIn, "the last that is counted")
		require.ErrorIs(t, guess(), registry.ErrSignInLocked)
	})
}

func TestSignInElsewhere(t *testing.T) {
	t.Parallel()
	eachStaffed(t, func(t *testing.T, db *registry.DB, _ *registrytest.Clock) {
		_, err := db.Authenticate(t.Context(), zhang.Login, password, cashdesk.ID)
		require.ErrorIs(t, err, registry.ErrElsewhere)
		_, err = db.Authenticate(t.Context(), zhang.Login, "wrong", cashdesk.ID)
		require.ErrorIs(t, err, registry.ErrSignIn, "only who knows the password is told")
		_, err = db.Authenticate(t.Context(), zhang.Login, password, "W-unknown")
		require.ErrorIs(t, err, registry.ErrNotFound)
	})
}

// TestPasswordIsRenewed: a hash made at another cost is replaced at sign-in.
func TestPasswordIsRenewed(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		config := registrytest.Config(dsn, registrytest.NewClock())
		db := registrytest.Open(t, config)
		staff(t, db)
		stored := func() (hash string) {
			require.NoError(t, db.Read(t.Context()).Table("operators").Pluck("password", &hash).Error)
			return hash
		}
		before := stored()
		require.Contains(t, before, "$argon2id$v=19$m=64,t=1,p=1$")
		config.SignIn.Cost = registry.PasswordCost{MemoryKiB: 128, Passes: 2, Lanes: 1}
		dearer := registrytest.Open(t, config)
		_, err := dearer.Authenticate(t.Context(), zhang.Login, "wrong", counter1.ID)
		require.ErrorIs(t, err, registry.ErrSignIn)
		require.Equal(t, before, stored())
		for range 2 {
			_, err = dearer.Authenticate(t.Context(), zhang.Login, password, counter1.ID)
			require.NoError(t, err)
			require.Contains(t, stored(), "$argon2id$v=19$m=128,t=2,p=1$")
		}
	})
}

func TestForgedPasswordHash(t *testing.T) {
	t.Parallel()
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		staff(t, db)
		_, err := raw(t, dsn).ExecContext(t.Context(), "UPDATE operators SET password = '$argon2id$v=19$m=4294967295,t=9999,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA'")
		require.NoError(t, err)
		_, err = db.Authenticate(t.Context(), zhang.Login, password, counter1.ID)
		require.ErrorContains(t, err, "argon2id")
	})
}

func TestInstitutionsAndWorkstations(t *testing.T) {
	t.Parallel()
	eachStaffed(t, func(t *testing.T, db *registry.DB, _ *registrytest.Clock) {
		found, err := db.Institution(t.Context(), hospital.ID)
		require.NoError(t, err)
		require.Equal(t, hospital, found)
		_, err = db.Institution(t.Context(), "none")
		require.ErrorIs(t, err, registry.ErrNotFound)

		fingerprint := strings.Repeat("5e", 32)
		inTx := func(change func(tx *registry.Tx) error) error { return db.InTx(t.Context(), clerk, change) }
		require.NoError(t, inTx(func(tx *registry.Tx) error { return tx.EnrolWorkstation(counter1.ID, fingerprint) }))
		station, err := db.WorkstationByFingerprint(t.Context(), fingerprint)
		require.NoError(t, err)
		wanted := counter1
		wanted.CertFingerprint = fingerprint
		require.Equal(t, wanted, station)

		require.ErrorIs(t, inTx(func(tx *registry.Tx) error { return tx.EnrolWorkstation(counter2.ID, fingerprint) }), registry.ErrDuplicate)
		require.ErrorIs(t, inTx(func(tx *registry.Tx) error { return tx.EnrolWorkstation(counter2.ID, "5e") }), registry.ErrConflict)
		require.ErrorIs(t, inTx(func(tx *registry.Tx) error { return tx.EnrolWorkstation("none", strings.Repeat("6f", 32)) }), registry.ErrNotFound)
		require.NoError(t, inTx(func(tx *registry.Tx) error { return tx.DisableWorkstation(counter1.ID) }))
		require.ErrorIs(t, inTx(func(tx *registry.Tx) error { return tx.DisableWorkstation(counter1.ID) }), registry.ErrNotFound)
		_, err = db.WorkstationByFingerprint(t.Context(), fingerprint)
		require.ErrorIs(t, err, registry.ErrNotFound)
		station, err = db.Workstation(t.Context(), counter1.ID)
		require.NoError(t, err)
		require.True(t, station.Disabled)
	})
}

func TestStaffRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*registry.Operator)) registry.Operator {
		operator := zhang
		operator.Login = "limin"
		change(&operator)
		return operator
	}
	cases := map[string]struct {
		change func(tx *registry.Tx) error
		want   error
	}{
		"login": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Login = "Li Min" }), password)
		}, registry.ErrInvalid},
		"login twice": {func(tx *registry.Tx) error { return tx.AddOperator(zhang, password) }, registry.ErrDuplicate},
		"no role": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Roles = nil }), password)
		}, registry.ErrInvalid},
		"unknown role": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Roles = []string{"king"} }), password)
		}, registry.ErrConflict},
		"institution": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Institution = "none" }), password)
		}, registry.ErrConflict},
		"place": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Place = "110101" }), password)
		}, registry.ErrInvalid},
		"password": {func(tx *registry.Tx) error { return tx.AddOperator(with(func(*registry.Operator) {}), "short") }, registry.ErrInvalid},
		"as login": {func(tx *registry.Tx) error {
			return tx.AddOperator(with(func(o *registry.Operator) { o.Login = "long-login" }), "long-login")
		}, registry.ErrInvalid},
		"set":         {func(tx *registry.Tx) error { return tx.SetPassword(zhang.Login, "") }, registry.ErrInvalid},
		"set unknown": {func(tx *registry.Tx) error { return tx.SetPassword("nobody", password) }, registry.ErrNotFound},
		"disable":     {func(tx *registry.Tx) error { return tx.DisableOperator("nobody") }, registry.ErrNotFound},
		"kind": {func(tx *registry.Tx) error {
			return tx.AddInstitution(registry.Institution{ID: "x", Kind: "shop", Name: "x", Place: "630102"})
		}, registry.ErrConflict},
		"level": {func(tx *registry.Tx) error {
			return tx.AddInstitution(registry.Institution{ID: "x", Kind: "bank", Name: "x", Place: "630102", Level: 3})
		}, registry.ErrConflict},
		"former place": {func(tx *registry.Tx) error {
			return tx.AddInstitution(registry.Institution{ID: "x", Kind: "bank", Name: "x", Place: "632321"})
		}, registry.ErrInvalid},
		"station kind": {func(tx *registry.Tx) error {
			return tx.AddWorkstation(registry.Workstation{ID: "x", Institution: office.ID, Place: "630102", Kind: "bank"})
		}, registry.ErrConflict},
		"station": {func(tx *registry.Tx) error { return tx.AddWorkstation(counter1) }, registry.ErrDuplicate},
	}
	eachStaffed(t, func(t *testing.T, db *registry.DB, _ *registrytest.Clock) {
		for name, c := range cases {
			require.ErrorIs(t, db.InTx(t.Context(), clerk, c.change), c.want, name)
		}
		_, err := db.Operator(t.Context(), "limin")
		require.ErrorIs(t, err, registry.ErrNotFound)
	})
}
