package registry

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Why a sign-in or a session is refused.
var (
	// ErrSignIn: wrong login or password; which of them is not told.
	ErrSignIn = errors.New("登录名或密码不对 wrong login or password")
	// ErrSignInLocked: too many failures for this login, whether it exists or not.
	ErrSignInLocked = errors.New("登录失败次数过多，请稍后再试 too many failures, try again later")
	// ErrElsewhere: the operator does not belong to the workstation's institution.
	ErrElsewhere = errors.New("操作员不属于本工作站所在机构 the operator does not belong to this workstation's institution")
	// ErrSession: no such session, or it has ended, or it belongs to another workstation.
	ErrSession = errors.New("请重新登录 sign in again")
)

// SignInPolicy holds the numbers of signing in (GB/T 22239-2019, 8.1.4.1).
type SignInPolicy struct {
	MaxFailures int           // failures in a row that lock a login; default 5
	LockFor     time.Duration // how long; default 15 minutes
	Idle        time.Duration // a session without use ends; default 30 minutes
	Absolute    time.Duration // every session ends; default 12 hours
	Cost        PasswordCost  // default 19 MiB, 2 passes, 1 lane (OWASP Password Storage Cheat Sheet)
}

func (p SignInPolicy) withDefaults() SignInPolicy {
	if p.MaxFailures == 0 {
		p.MaxFailures = 5
	}
	if p.LockFor == 0 {
		p.LockFor = 15 * time.Minute
	}
	if p.Idle == 0 {
		p.Idle = 30 * time.Minute
	}
	if p.Absolute == 0 {
		p.Absolute = 12 * time.Hour
	}
	if p.Cost == (PasswordCost{}) {
		p.Cost = PasswordCost{MemoryKiB: 19 * 1024, Passes: 2, Lanes: 1}
	}
	return p
}

// touchEvery bounds how often the use of a session is written down.
const touchEvery = time.Minute

// tokenLength is the number of random bytes of a session's token.
const tokenLength = 32

// Session is a signed-in operator at a workstation.
type Session struct {
	Token       string // base64url, 43 characters; known to the client alone
	Operator    Operator
	Workstation string
	ExpiresAt   time.Time // at the latest; earlier without use
}

type sessionRow struct {
	TokenHash   []byte    `gorm:"column:token_hash"`
	Operator    string    `gorm:"column:operator"`
	Workstation string    `gorm:"column:workstation"`
	CreatedAt   time.Time `gorm:"column:created_at"`
	LastSeenAt  time.Time `gorm:"column:last_seen_at"`
	ExpiresAt   time.Time `gorm:"column:expires_at"`
}

// TableName implements gorm's schema.Tabler.
func (sessionRow) TableName() string { return "operator_sessions" }

type failureRow struct {
	LoginIndex  []byte     `gorm:"column:login_index"`
	Failures    int        `gorm:"column:failures"`
	LastAt      time.Time  `gorm:"column:last_at"`
	LockedUntil *time.Time `gorm:"column:locked_until"`
}

// TableName implements gorm's schema.Tabler.
func (failureRow) TableName() string { return "sign_in_failures" }

// signIn is one try to sign in, after the password has been compared.
type signIn struct {
	login       string
	operator    operatorRow // zero if there is none
	workstation Workstation
	correct     bool
	renewed     string // the password's hash at the present cost, if it had another
	tokenHash   []byte
}

// Authenticate signs an operator in at a workstation. A login that does not
// exist takes the same work, the same writes and the same answers as a wrong
// password: ErrSignIn, and after too many ErrSignInLocked. Every outcome is
// recorded. The workstation must be known and in use (ErrNotFound) and of the
// operator's institution (ErrElsewhere).
func (db *DB) Authenticate(ctx context.Context, login, password, workstation string) (Session, error) {
	station, err := db.workstation(db.Read(ctx).Where("id = ? AND disabled_at IS NULL", workstation))
	if err != nil {
		return Session{}, err
	}
	try := signIn{login: strings.ToLower(strings.TrimSpace(login)), workstation: station}
	if err := db.Read(ctx).Where("login = ? AND disabled_at IS NULL", try.login).Limit(1).Find(&try.operator).Error; err != nil {
		return Session{}, err
	}
	if try.correct, err = db.verifyPassword(ctx, try.operator.Password, password); err != nil {
		return Session{}, err
	}
	if try.correct && db.outdated(try.operator.Password) {
		if try.renewed, err = db.hashPassword(ctx, password); err != nil {
			return Session{}, err
		}
	}
	token := make([]byte, tokenLength)
	if _, err := io.ReadFull(db.rand, token); err != nil {
		return Session{}, fmt.Errorf("registry: token: %w", err)
	}
	session := Session{Token: base64.RawURLEncoding.EncodeToString(token), Workstation: station.ID}
	try.tokenHash = hashToken(session.Token)
	if session.ExpiresAt, err = db.decide(ctx, try); err != nil {
		return Session{}, err
	}
	session.Operator, err = db.Operator(ctx, try.login)
	return session, err
}

// hashToken is what is stored of a token. It has 256 random bits: a plain hash
// cannot be searched.
func hashToken(token string) []byte {
	hash := sha256.Sum256([]byte(token))
	return hash[:]
}

// decide counts, locks or opens the session, in one transaction, which is
// committed also when the sign-in is refused.
func (db *DB) decide(ctx context.Context, try signIn) (expires time.Time, err error) {
	actor := Actor{Operator: "unknown", Workstation: try.workstation.ID, Place: try.workstation.Place}
	if try.operator.Login != "" {
		actor.Operator = try.operator.Login
	}
	index, err := db.Index(ctx, "sign_in_failures.login", []byte(try.login))
	if err != nil {
		return time.Time{}, err
	}
	var refused error
	err = db.InTx(ctx, actor, func(tx *Tx) error {
		var err error
		if refused, err = tx.judge(try, index); err != nil {
			return err
		}
		if refused != nil {
			return tx.Audit("operator.refused", "operator:"+actor.Operator, map[string]string{"reason": reasons[refused]})
		}
		expires, err = tx.openSession(try)
		return err
	})
	return expires, errors.Join(err, refused)
}

// reasons are the words of the audit log.
var reasons = map[error]string{ErrSignIn: "password", ErrSignInLocked: "locked", ErrElsewhere: "institution"}

// judge says why the attempt is refused, if it is, and counts failures in a
// row that is locked: guesses made at the same time count one after the other.
func (tx *Tx) judge(try signIn, index []byte) (refused, err error) {
	row := failureRow{LoginIndex: index, LastAt: tx.now}
	if err := tx.gorm.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return nil, err
	}
	if err := tx.ForUpdate().Where("login_index = ?", index).Take(&row).Error; err != nil {
		return nil, err
	}
	policy := tx.db.signIn
	if row.LockedUntil != nil && tx.now.Before(*row.LockedUntil) {
		return ErrSignInLocked, nil
	}
	if try.correct {
		if try.operator.Institution != try.workstation.Institution {
			return ErrElsewhere, nil
		}
		// Rows that say nothing any more, among them those of logins that do not
		// exist, go with the operator's own.
		return nil, tx.gorm.Where("login_index = ? OR last_at < ?", index, tx.now.Add(-2*policy.LockFor)).Delete(&failureRow{}).Error
	}
	failures := row.Failures + 1
	if tx.now.Sub(row.LastAt) > policy.LockFor {
		failures = 1 // those before are forgotten
	}
	change := map[string]any{"failures": failures, "last_at": tx.now, "locked_until": nil}
	if failures >= policy.MaxFailures {
		change["failures"], change["locked_until"] = 0, tx.now.Add(policy.LockFor)
	}
	return ErrSignIn, tx.gorm.Model(&failureRow{}).Where("login_index = ?", index).Updates(change).Error
}

// openSession opens the session in place of the operator's earlier one at this
// workstation and of those that have expired.
func (tx *Tx) openSession(try signIn) (time.Time, error) {
	login := try.operator.Login
	err := tx.gorm.Where("operator = ? AND (workstation = ? OR expires_at <= ?)", login, try.workstation.ID, tx.now).
		Delete(&sessionRow{}).Error
	if err != nil {
		return time.Time{}, err
	}
	if try.renewed != "" {
		renewed := tx.gorm.Model(&operatorRow{}).Where("login = ? AND password = ?", login, try.operator.Password).
			Update("password", try.renewed)
		if renewed.Error != nil {
			return time.Time{}, renewed.Error
		}
	}
	row := sessionRow{
		TokenHash: try.tokenHash, Operator: login, Workstation: try.workstation.ID,
		CreatedAt: tx.now, LastSeenAt: tx.now, ExpiresAt: tx.now.Add(tx.db.signIn.Absolute),
	}
	if err := tx.gorm.Create(&row).Error; err != nil {
		return time.Time{}, err
	}
	return row.ExpiresAt, tx.Audit("operator.signed-in", "operator:"+login, nil)
}

// SessionOperator returns the operator whose session a token opens at this
// workstation, or ErrSession. Disabled operators and workstations have none.
func (db *DB) SessionOperator(ctx context.Context, token, workstation string) (Operator, error) {
	hash, now := hashToken(token), db.Now()
	var row sessionRow
	err := db.Read(ctx).Where("token_hash = ? AND workstation = ?", hash, workstation).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Operator{}, ErrSession
	}
	if err != nil {
		return Operator{}, err
	}
	if !now.Before(row.ExpiresAt) || !now.Before(row.LastSeenAt.Add(db.signIn.Idle)) {
		return Operator{}, ErrSession
	}
	operator, err := db.Operator(ctx, row.Operator)
	if err != nil {
		return Operator{}, err
	}
	if operator.Disabled {
		return Operator{}, ErrSession
	}
	if now.Sub(row.LastSeenAt) >= touchEvery {
		touched := db.write.WithContext(ctx).Model(&sessionRow{}).Where("token_hash = ?", hash).Update("last_seen_at", now)
		if touched.Error != nil {
			return Operator{}, touched.Error
		}
	}
	return operator, nil
}

// SignOut ends the session of a token at this workstation, or ErrSession.
func (db *DB) SignOut(ctx context.Context, token, workstation string) error {
	operator, err := db.SessionOperator(ctx, token, workstation)
	if err != nil {
		return err
	}
	return db.InTx(ctx, operator.Actor(workstation), func(tx *Tx) error {
		if err := tx.gorm.Where("token_hash = ?", hashToken(token)).Delete(&sessionRow{}).Error; err != nil {
			return err
		}
		return tx.Audit("operator.signed-out", "operator:"+operator.Login, nil)
	})
}
