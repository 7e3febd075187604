package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	p11 "github.com/miekg/pkcs11"

	"onecard/keys"
)

// block is the length of a DES block, of a diversification factor and of a
// challenge, in bytes.
const block = 8

// Cryptogram computes the eight authentication bytes of INTERNAL and EXTERNAL
// AUTHENTICATE: PK = 3DES(K, r1), AUTH = DES(PK, r2).
func (k *Keeper) Cryptogram(ctx context.Context, key keys.Key, r1, r2 []byte) ([]byte, error) {
	if len(r1) != block || len(r2) != block {
		return nil, keys.InputError("r1, r2", "各应 8 字节 eight bytes each")
	}
	var auth []byte
	err := k.use(ctx, key, func(session p11.SessionHandle, card p11.ObjectHandle) error {
		return k.process(session, card, r1, func(process p11.ObjectHandle) (err error) {
			auth, err = k.encrypt(session, process, p11.CKM_DES3_ECB, nil, r2)
			return err
		})
	}, keys.Authentication)
	return auth, err
}

// CommandMAC computes the four MAC bytes of a protected command under the
// process key that the card's challenge r gives.
func (k *Keeper) CommandMAC(ctx context.Context, key keys.Key, r, message []byte) ([]byte, error) {
	if len(r) != block {
		return nil, keys.InputError("r", "应 8 字节 eight bytes")
	}
	if len(message) < 5 {
		return nil, keys.InputError("message", "至少 5 字节命令头 at least the five header bytes")
	}
	var mac []byte
	err := k.use(ctx, key, func(session p11.SessionHandle, card p11.ObjectHandle) error {
		return k.process(session, card, r, func(process p11.ObjectHandle) (err error) {
			mac, err = k.mac(session, process, message)
			return err
		})
	}, keys.Maintenance)
	return mac, err
}

// PINBlock enciphers a PIN under the process key that r gives and computes the
// MAC of the command with that header.
func (k *Keeper) PINBlock(ctx context.Context, key keys.Key, r, header []byte, pin string) ([]byte, error) {
	digits, err := keys.PackPIN(pin)
	if err != nil {
		return nil, err
	}
	defer clear(digits)
	return k.CipherCommand(ctx, key, r, header, digits)
}

// CipherCommand enciphers the data field of a protected command under the
// process key that r gives and computes the MAC of the command with that
// header.
func (k *Keeper) CipherCommand(ctx context.Context, key keys.Key, r, header, plain []byte) ([]byte, error) {
	if len(r) != block {
		return nil, keys.InputError("r", "应 8 字节 eight bytes")
	}
	if len(plain) == 0 || len(plain) > 253 {
		return nil, keys.InputError("plain", "应 1 至 253 字节 1 to 253 bytes")
	}
	padded := keys.Pad(append([]byte{byte(len(plain))}, plain...), block)
	defer clear(padded)
	var data []byte
	err := k.use(ctx, key, func(session p11.SessionHandle, card p11.ObjectHandle) error {
		if err := keys.CheckHeader(header, len(padded)+4); err != nil {
			return err
		}
		return k.process(session, card, r, func(process p11.ObjectHandle) error {
			enciphered, err := k.encrypt(session, process, p11.CKM_DES3_ECB, nil, padded)
			if err != nil {
				return err
			}
			mac, err := k.mac(session, process, slices.Concat(header, enciphered))
			data = slices.Concat(enciphered, mac)
			return err
		})
	}, keys.Maintenance)
	if err != nil {
		return nil, err
	}
	return data, nil
}

// TransactionMAC computes a code of a movement of the medical account
// (keys.Debit).
func (k *Keeper) TransactionMAC(ctx context.Context, key keys.Key, factor, message []byte) ([]byte, error) {
	if len(factor) != block {
		return nil, keys.InputError("factor", "应 8 字节 eight bytes")
	}
	if len(message) == 0 {
		return nil, keys.InputError("message", "不能为空 must not be empty")
	}
	var mac []byte
	err := k.use(ctx, key, func(session p11.SessionHandle, card p11.ObjectHandle) error {
		return k.process(session, card, factor, func(process p11.ObjectHandle) (err error) {
			mac, err = k.mac(session, process, message)
			return err
		})
	}, keys.Debit)
	return mac, err
}

// WrapKey is refused (keys.ErrAlgorithm): the package comment says why.
func (k *Keeper) WrapKey(ctx context.Context, _, target keys.Key, _ [3]byte, _, _ []byte) (data, next []byte, err error) {
	err = k.use(ctx, target, func(p11.SessionHandle, p11.ObjectHandle) error {
		return fmt.Errorf("令牌不能在内部组成装载密钥的数据 the token cannot put a key load together inside: %w", keys.ErrAlgorithm)
	}, keys.Authentication, keys.Maintenance)
	return nil, nil, err
}

// DirectMAC is refused: the token has no key with such a usage
// (keys.ErrWrongUsage), and the package comment says why.
func (k *Keeper) DirectMAC(ctx context.Context, key keys.Key, _, _ []byte) ([]byte, error) {
	return nil, k.use(ctx, key, nil)
}

// OpenChannel is refused (keys.ErrNoChannel), as are the two below: the package
// comment says why.
func (k *Keeper) OpenChannel(ctx context.Context, _ keys.ChannelRequest) (command, state []byte, err error) {
	return nil, nil, noChannel(ctx)
}

// WrapCommands is refused.
func (k *Keeper) WrapCommands(ctx context.Context, _, _ []byte, _ []keys.ChannelCommand) (wrapped [][]byte, next []byte, err error) {
	return nil, nil, noChannel(ctx)
}

// UnwrapResponses is refused.
func (k *Keeper) UnwrapResponses(ctx context.Context, _, _ []byte, _ [][]byte) (plain [][]byte, next []byte, err error) {
	return nil, nil, noChannel(ctx)
}

func noChannel(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return fmt.Errorf("pkcs11: %w", keys.ErrNoChannel)
}

// CheckValue returns the key check value (密钥校验值), and how it was computed,
// at every level of the hierarchy.
func (k *Keeper) CheckValue(ctx context.Context, key keys.Key) (kcv []byte, method string, err error) {
	found, err := k.look(key)
	if err != nil {
		return nil, "", errors.Join(ctx.Err(), err)
	}
	if len(key.Factors) > found.Depth {
		return nil, "", keys.KeyError(found.Name, found.Version, keys.ErrFactors)
	}
	err = k.session(ctx, func(session p11.SessionHandle) error {
		return k.diversify(session, found, key.Factors, func(handle p11.ObjectHandle) error {
			kcv, method, err = k.checkValue(session, found.Usage, handle)
			return err
		})
	})
	return kcv, method, err
}

// CheckValueHMAC: the first three bytes of the HMAC-SHA-256 of nothing.
const CheckValueHMAC = "HMAC-SHA256()[0:3]"

// checkValue computes the check value of an object.
func (k *Keeper) checkValue(session p11.SessionHandle, usage keys.Usage, handle p11.ObjectHandle) ([]byte, string, error) {
	switch usage {
	case keys.FieldEncryption:
		mac, err := k.sign(session, handle, p11.CKM_AES_CMAC, make([]byte, 16))
		if err != nil {
			return nil, "", err
		}
		return mac[:3], keys.CheckValueCMAC, nil
	case keys.BlindIndex:
		mac, err := k.sign(session, handle, p11.CKM_SHA256_HMAC, nil)
		if err != nil {
			return nil, "", err
		}
		return mac[:3], CheckValueHMAC, nil
	}
	// Not CKA_CHECK_VALUE, which SoftHSM computes in a way of its own: the key
	// 3DES(K, 0), of which no more than three bytes come to be.
	var kcv []byte
	template := []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), p11.NewAttribute(p11.CKA_VALUE_LEN, 3),
		p11.NewAttribute(p11.CKA_TOKEN, false), p11.NewAttribute(p11.CKA_SENSITIVE, false), p11.NewAttribute(p11.CKA_EXTRACTABLE, true),
	}
	err := k.derived(session, handle, make([]byte, block), template, func(short p11.ObjectHandle) error {
		found, err := k.api.GetAttributeValue(session, short, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
		if err == nil {
			kcv = found[0].Value
		}
		return err
	})
	return kcv, keys.CheckValueECB, err
}

// use lends compute the key that is named, diversified to the card, if its
// usage is one of those allowed and all its factors are there.
func (k *Keeper) use(ctx context.Context, key keys.Key, compute func(p11.SessionHandle, p11.ObjectHandle) error, allowed ...keys.Usage) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	found, err := k.look(key)
	if err != nil {
		return err
	}
	if !slices.Contains(allowed, found.Usage) {
		return keys.KeyError(found.Name, found.Version, keys.ErrWrongUsage)
	}
	if len(key.Factors) != found.Depth {
		return keys.KeyError(found.Name, found.Version, keys.ErrFactors)
	}
	return k.session(ctx, func(session p11.SessionHandle) error {
		err := k.diversify(session, found, key.Factors, func(handle p11.ObjectHandle) error { return compute(session, handle) })
		if err != nil {
			return keys.KeyError(found.Name, found.Version, err)
		}
		return nil
	})
}

// diversify lends compute the key that the factors lead to; what was derived
// on the way is destroyed.
func (k *Keeper) diversify(session p11.SessionHandle, from object, factors [][]byte, compute func(p11.ObjectHandle) error) error {
	for _, factor := range factors {
		if len(factor) != block {
			return keys.ErrFactors
		}
	}
	return k.descend(session, from.handle, factors, compute)
}

func (k *Keeper) descend(session p11.SessionHandle, handle p11.ObjectHandle, factors [][]byte, compute func(p11.ObjectHandle) error) error {
	if len(factors) == 0 {
		return compute(handle)
	}
	data := slices.Clone(factors[0])
	for _, b := range factors[0] {
		data = append(data, ^b)
	}
	return k.derived(session, handle, data, template(p11.CKK_DES2, false, []uint{p11.CKA_DERIVE}), func(next p11.ObjectHandle) error {
		return k.descend(session, next, factors[1:], compute)
	})
}

// process lends compute the process key (过程密钥) of r, as PK ‖ PK.
func (k *Keeper) process(session p11.SessionHandle, card p11.ObjectHandle, r []byte, compute func(p11.ObjectHandle) error) error {
	return k.derived(session, card, slices.Concat(r, r), template(p11.CKK_DES2, false, []uint{p11.CKA_ENCRYPT}), compute)
}

// derived lends compute the key 3DES(from, data), an object of the session with
// those attributes, and destroys it.
func (k *Keeper) derived(session p11.SessionHandle, from p11.ObjectHandle, data []byte, template []*p11.Attribute, compute func(p11.ObjectHandle) error) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	mechanism := p11.NewMechanism(p11.CKM_DES3_ECB_ENCRYPT_DATA, stringData(&pinner, data))
	handle, err := k.api.DeriveKey(session, []*p11.Mechanism{mechanism}, from, template)
	if err != nil {
		return err
	}
	return errors.Join(compute(handle), k.api.DestroyObject(session, handle))
}

// stringData is CK_KEY_DERIVATION_STRING_DATA, a pointer and a length, which
// the binding lacks. The data stay where they are until unpinned.
func stringData(pinner *runtime.Pinner, data []byte) []byte {
	pinner.Pin(&data[0])
	parameter := struct {
		data   unsafe.Pointer
		length uintptr // CK_ULONG
	}{unsafe.Pointer(&data[0]), uintptr(len(data))}
	return slices.Clone(unsafe.Slice((*byte)(unsafe.Pointer(&parameter)), unsafe.Sizeof(parameter)))
}

// encrypt enciphers data in one call.
func (k *Keeper) encrypt(session p11.SessionHandle, key p11.ObjectHandle, mechanism uint, parameter any, data []byte) ([]byte, error) {
	if err := k.api.EncryptInit(session, []*p11.Mechanism{p11.NewMechanism(mechanism, parameter)}, key); err != nil {
		return nil, err
	}
	return k.api.Encrypt(session, data)
}

// mac returns the first half of the last block of the CBC-MAC of the padded
// message.
func (k *Keeper) mac(session p11.SessionHandle, process p11.ObjectHandle, message []byte) ([]byte, error) {
	chain, err := k.encrypt(session, process, p11.CKM_DES3_CBC, make([]byte, block), keys.Pad(message, block))
	if err != nil {
		return nil, err
	}
	return chain[len(chain)-block:][:4:4], nil
}

// sign computes a MAC in one call.
func (k *Keeper) sign(session p11.SessionHandle, key p11.ObjectHandle, mechanism uint, data []byte) ([]byte, error) {
	if err := k.api.SignInit(session, []*p11.Mechanism{p11.NewMechanism(mechanism, nil)}, key); err != nil {
		return nil, err
	}
	return k.api.Sign(session, data)
}
