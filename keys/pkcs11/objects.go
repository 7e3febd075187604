package pkcs11

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	p11 "github.com/miekg/pkcs11"

	"onecard/keys"
)

// The algorithms that the token has in place of SM4 and SM3 for personal data.
const (
	// AES256 is for the key DATA.
	AES256 = keys.Algorithm("AES-256")
	// HMACSHA256 is for the key INDEX.
	HMACSHA256 = keys.Algorithm("HMAC-SHA256")
)

// Hierarchy returns those keys of the province's hierarchy that a token can
// hold: the cards' in 3DES, and personal data's in the algorithms that it has.
func Hierarchy() []keys.Spec {
	var specs []keys.Spec
	for _, spec := range keys.Provincial() {
		if spec.Usage == keys.FieldEncryption || spec.Usage == keys.BlindIndex {
			spec.Algorithm = kinds[spec.Usage].algorithm
		}
		if _, err := check(spec, 1); err == nil {
			specs = append(specs, spec)
		}
	}
	return specs
}

// kind is how keys of a usage lie in the token.
type kind struct {
	algorithm keys.Algorithm
	keyType   uint
	generate  uint // mechanism
	size      int
	uses      []uint // attributes that are true
}

// chipKey is a double-length 3DES key from which others are derived, and for
// nothing else.
var chipKey = kind{keys.TripleDES, p11.CKK_DES2, p11.CKM_DES2_KEY_GEN, 16, []uint{p11.CKA_DERIVE}}

// kinds lists the usages that the token has keys for.
var kinds = map[keys.Usage]kind{
	keys.Authentication:  chipKey,
	keys.Maintenance:     chipKey,
	keys.Debit:           chipKey,
	keys.FieldEncryption: {AES256, p11.CKK_AES, p11.CKM_AES_KEY_GEN, 32, []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT, p11.CKA_SIGN}},
	keys.BlindIndex:      {HMACSHA256, p11.CKK_GENERIC_SECRET, p11.CKM_GENERIC_SECRET_KEY_GEN, 32, []uint{p11.CKA_SIGN}},
}

// maxVersion is the highest version: cards keep it in one byte (FF is reserved).
const maxVersion = 254

// check returns how a key lies in the token, or why it cannot.
func check(spec keys.Spec, version int) (kind, error) {
	k, known := kinds[spec.Usage]
	depth := 0
	if k.algorithm == keys.TripleDES {
		depth = 2
	}
	switch {
	case keys.CheckName(spec.Name) != nil:
		return kind{}, keys.CheckName(spec.Name)
	case !known || spec.Algorithm != k.algorithm:
		return kind{}, keys.KeyError(spec.Name, version, fmt.Errorf("令牌不能用 %s 作 %s the token cannot use %[1]s for %[2]s: %w", spec.Algorithm, spec.Usage, keys.ErrAlgorithm))
	case spec.Factor != "" || spec.Exportable:
		// A token's key is the province's own, and never leaves.
		return kind{}, keys.KeyError(spec.Name, version, keys.InputError("factor, exportable", "令牌不支持 not with a token"))
	case spec.Depth < 0 || spec.Depth > depth:
		return kind{}, keys.KeyError(spec.Name, version, keys.InputError("depth", fmt.Sprintf("0–%d", depth)))
	case version < 1 || version > maxVersion:
		return kind{}, keys.KeyError(spec.Name, version, keys.InputError("version", fmt.Sprintf("1–%d", maxVersion)))
	}
	return k, nil
}

// object is one version of one key in the token.
type object struct {
	keys.Info
	handle p11.ObjectHandle
}

// record is what CKA_ID says of a key.
type record struct {
	Format  string    `json:"format"`
	Spec    keys.Spec `json:"spec"`
	Version int       `json:"version"`
	Created time.Time `json:"created"`
}

// recordFormat tells the objects of this package from others in the token.
const recordFormat = "onecard-key/1"

// label is the object's label.
func label(name string, version int) string { return fmt.Sprintf("%s/%d", name, version) }

// template returns the attributes of a key object: lasting or of the session,
// never readable, and usable for uses alone. SoftHSM fills in a derived key
// after it has made it, which an object that cannot be modified would refuse.
func template(keyType uint, lasting bool, uses []uint) []*p11.Attribute {
	attributes := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, keyType),
		p11.NewAttribute(p11.CKA_TOKEN, lasting), p11.NewAttribute(p11.CKA_PRIVATE, true),
		p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false), p11.NewAttribute(p11.CKA_MODIFIABLE, !lasting),
	}
	for _, use := range []uint{p11.CKA_ENCRYPT, p11.CKA_DECRYPT, p11.CKA_SIGN, p11.CKA_VERIFY, p11.CKA_WRAP, p11.CKA_UNWRAP, p11.CKA_DERIVE} {
		attributes = append(attributes, p11.NewAttribute(use, slices.Contains(uses, use)))
	}
	return attributes
}

// Add makes version 1 of each key described that the token does not have yet;
// keys which are there with the same description stay as they are, with
// another description they are keys.ErrExists.
func (k *Keeper) Add(specs ...keys.Spec) error {
	for _, spec := range specs {
		present, err := k.look(keys.Key{Name: spec.Name})
		if err == nil && present.Spec == spec {
			continue
		}
		if err := k.insert(spec, 1, nil); err != nil {
			return err
		}
	}
	return nil
}

// Rotate makes the next version of a key and returns its number (密钥轮换).
func (k *Keeper) Rotate(name string) (int, error) {
	last, err := k.look(keys.Key{Name: name})
	if err != nil {
		return 0, err
	}
	if last.Version == maxVersion {
		return 0, keys.KeyError(name, last.Version, keys.ErrExists)
	}
	return last.Version + 1, k.insert(last.Spec, last.Version+1, nil)
}

// Import puts one version of a key into the token. A version that is there
// already is keys.ErrExists; a description other than the present one's too.
// The caller clears value.
func (k *Keeper) Import(spec keys.Spec, version int, value []byte) error {
	kind, err := check(spec, version)
	if err != nil {
		return err
	}
	if len(value) != kind.size {
		return keys.KeyError(spec.Name, version, keys.InputError("key", fmt.Sprintf("%d bytes", kind.size)))
	}
	return k.insert(spec, version, value)
}

// insert makes a key, or takes value for it, and only then lets it be used.
func (k *Keeper) insert(spec keys.Spec, version int, value []byte) error {
	kind, err := check(spec, version)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, present := range k.keys[spec.Name] {
		if present.Version == version || present.Spec != spec {
			return keys.KeyError(spec.Name, present.Version, keys.ErrExists)
		}
	}
	r := record{recordFormat, spec, version, k.now().UTC().Truncate(time.Second)}
	id, err := json.Marshal(r)
	if err != nil {
		return keys.KeyError(spec.Name, version, err)
	}
	attributes := append(template(kind.keyType, true, kind.uses),
		p11.NewAttribute(p11.CKA_LABEL, label(spec.Name, version)), p11.NewAttribute(p11.CKA_ID, id))
	return k.session(context.Background(), func(session p11.SessionHandle) error {
		var handle p11.ObjectHandle
		switch {
		case value != nil:
			handle, err = k.api.CreateObject(session, append(attributes, p11.NewAttribute(p11.CKA_VALUE, value)))
		default:
			if kind.keyType != p11.CKK_DES2 { // whose length is fixed
				attributes = append(attributes, p11.NewAttribute(p11.CKA_VALUE_LEN, kind.size))
			}
			handle, err = k.api.GenerateKey(session, []*p11.Mechanism{p11.NewMechanism(kind.generate, nil)}, attributes)
		}
		if err != nil {
			return keys.KeyError(spec.Name, version, err)
		}
		return k.take(session, handle, r)
	})
}

// load finds the keys of this package in the token.
func (k *Keeper) load(session p11.SessionHandle) error {
	handles, err := k.list(session)
	if err != nil {
		return err
	}
	for _, handle := range handles {
		found, err := k.api.GetAttributeValue(session, handle, []*p11.Attribute{
			p11.NewAttribute(p11.CKA_ID, nil), p11.NewAttribute(p11.CKA_LABEL, nil), p11.NewAttribute(p11.CKA_SENSITIVE, nil),
			p11.NewAttribute(p11.CKA_EXTRACTABLE, nil), p11.NewAttribute(p11.CKA_MODIFIABLE, nil),
		})
		if err != nil {
			return err
		}
		var r record
		if json.Unmarshal(found[0].Value, &r) != nil || r.Format != recordFormat {
			continue // another application's
		}
		if _, err := check(r.Spec, r.Version); err != nil {
			return err
		}
		sealed := slices.Equal(found[2].Value, []byte{1}) && slices.Equal(found[3].Value, []byte{0}) && slices.Equal(found[4].Value, []byte{0})
		if !sealed || string(found[1].Value) != label(r.Spec.Name, r.Version) {
			return keys.KeyError(r.Spec.Name, r.Version, ErrExposed)
		}
		for _, present := range k.keys[r.Spec.Name] {
			if present.Version == r.Version || present.Spec != r.Spec {
				return keys.KeyError(r.Spec.Name, r.Version, keys.ErrExists)
			}
		}
		if err := k.take(session, handle, r); err != nil {
			return err
		}
	}
	return nil
}

// list returns the secret keys that lie in the token.
func (k *Keeper) list(session p11.SessionHandle) (handles []p11.ObjectHandle, err error) {
	filter := []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_TOKEN, true)}
	if err := k.api.FindObjectsInit(session, filter); err != nil {
		return nil, err
	}
	for {
		some, _, err := k.api.FindObjects(session, 256)
		if err != nil || len(some) == 0 {
			final := k.api.FindObjectsFinal(session)
			if err == nil {
				err = final
			}
			return handles, err
		}
		handles = append(handles, some...)
	}
}

// take computes the check value of a key and enters it. The caller holds the
// lock of the keeper, or nobody else has the keeper yet.
func (k *Keeper) take(session p11.SessionHandle, handle p11.ObjectHandle, r record) error {
	o := object{keys.Info{Spec: r.Spec, Version: r.Version, Created: r.Created}, handle}
	kcv, _, err := k.checkValue(session, o.Usage, handle)
	if err != nil {
		return keys.KeyError(o.Name, o.Version, err)
	}
	o.CheckValue = hex.EncodeToString(kcv)
	versions := append(slices.Clone(k.keys[o.Name]), o)
	slices.SortFunc(versions, func(a, b object) int { return a.Version - b.Version })
	k.keys[o.Name] = versions
	return nil
}
