package keys

import "context"

// Debit computes the codes of a debit of the medical account (医疗消费): DPK.
const Debit Usage = "debit"

// TransactionMAC computes a four-byte MAC or TAC of a medical debit under the
// process key that the factor (eight bytes: the card's random number and the
// serial numbers) gives; message is not yet padded. The chain starts from
// zeroes. (PBOC's shape; what the message holds is the caller's matter.)
func (k *Keeper) TransactionMAC(ctx context.Context, key Key, factor, message []byte) ([]byte, error) {
	if len(factor) != factorSize {
		return nil, inputError("factor", "应 8 字节 eight bytes")
	}
	if len(message) == 0 {
		return nil, inputError("message", "不能为空 must not be empty")
	}
	var mac []byte
	err := k.use(ctx, key, func(algorithm Algorithm, value []byte) error {
		process, err := processCipher(algorithm, value, factor)
		if err != nil {
			return err
		}
		mac = shorten(chainMAC(process, make([]byte, process.BlockSize()), message))
		return nil
	}, Debit)
	return mac, err
}
