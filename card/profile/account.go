package profile

import (
	"fmt"
	"slices"
	"strings"
)

func (f *fileAccount) build() (*Account, error) {
	a := &Account{
		Scope: f.Scope, Balance: f.Balance, Records: f.Records, Opening: f.Opening, Opened: f.Opened, Request: f.Request, Answer: f.Answer,
		Factor: f.Factor, MAC1: f.MAC1, MAC2: f.MAC2, TAC: f.TAC, Source: f.Source,
	}
	var err error
	if a.Debit, err = f.Debit.build(); err != nil {
		return nil, within(err, "debit")
	}
	if a.Credit, err = f.Credit.build(); err != nil {
		return nil, within(err, "credit")
	}
	if len(f.Prove) != 4 {
		return nil, within(fmt.Errorf("account: prove is a header of four bytes"), "prove")
	}
	a.Prove = [4]byte(f.Prove)
	return a, nil
}

func (f fileMovement) build() (Movement, error) {
	if len(f.Initialize) != 4 || len(f.Command) != 4 {
		return Movement{}, fmt.Errorf("account: initialize and command are headers of four bytes")
	}
	return Movement{Key: f.Key, Kind: byte(f.Kind), Initialize: [4]byte(f.Initialize), Command: [4]byte(f.Command)}, nil
}

// Length returns the number of bytes of a list of fields.
func Length(fields []string) (n int) {
	for _, name := range fields {
		n += AccountFields[name]
	}
	return n
}

// check refuses an account whose files, keys or fields are not there.
func (a *Account) check(p *Profile) error {
	if a == nil {
		return nil
	}
	at := func(key, reason string) error { return within(fmt.Errorf("account: %s", reason), "account", key) }
	scope, known := p.Scope(a.Scope)
	if !known {
		return at("scope", fmt.Sprintf("no directory %q", a.Scope))
	}
	if f, ok := p.File(a.Scope + "/" + a.Records); !ok || f.Kind != Cyclic {
		return at("records", fmt.Sprintf("no cyclic file %q", a.Records))
	}
	if _, e, ok := p.AccountBalance(); !ok || e.Length != AccountFields["balance"] {
		return at("balance", fmt.Sprintf("no element %q of four bytes", a.Balance))
	}
	for name, key := range map[string]string{"debit": a.Debit.Key, "credit": a.Credit.Key} {
		if !slices.ContainsFunc(scope.Keys, func(k Key) bool { return k.Name == key && k.Purpose == name }) {
			return at(name, fmt.Sprintf("no key %q for it", key))
		}
	}
	for name, fields := range map[string][]string{
		"opening": a.Opening, "opened": a.Opened, "request": a.Request, "answer": a.Answer, "factor": a.Factor, "mac1": a.MAC1, "mac2": a.MAC2, "tac": a.TAC,
	} {
		if i := slices.IndexFunc(fields, func(field string) bool { return AccountFields[field] == 0 }); len(fields) == 0 || i >= 0 {
			return at(name, "a list of fields that are known")
		}
	}
	if Length(a.Factor) != 8 {
		return at("factor", "eight bytes")
	}
	return nil
}

// AccountBalance returns the element that holds the balance, with its file.
func (p *Profile) AccountBalance() (*File, *Element, bool) {
	scope, ok := p.Scope(p.Account.Scope)
	if !ok {
		return nil, nil, false
	}
	for i := range scope.Files {
		if e, ok := scope.Files[i].Element(p.Account.Balance); ok {
			return &scope.Files[i], e, true
		}
	}
	return nil, nil, false
}

// Owner is who alone changes what a path names; what has none is written by hand.
type Owner string

// The owners.
const (
	OwnedByNobody  Owner = ""
	OwnedByRecord  Owner = "record"  // issuer and holder: the province's record
	OwnedByAccount Owner = "account" // balance and transactions: debit and credit
)

// Owner returns the owner of an element or a file.
func (p *Profile) Owner(path string) Owner {
	if strings.HasPrefix(path, p.Scopes[0].Name+"/") {
		return OwnedByRecord
	}
	if p.Account == nil {
		return OwnedByNobody
	}
	file := p.Account.Scope + "/" + p.Account.Records
	balance, element, ok := p.AccountBalance()
	if path == file || strings.HasPrefix(path, file+"/") || ok && path == p.Account.Scope+"/"+balance.Name()+"/"+element.Name {
		return OwnedByAccount
	}
	return OwnedByNobody
}
