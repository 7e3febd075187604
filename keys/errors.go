package keys

import (
	"errors"
	"fmt"
)

// What can go wrong with a key. The errors of this package wrap one of these
// and name the key and its version, never a byte of it.
var (
	// ErrNoKey: the keeper has no key of that name and version.
	ErrNoKey error = unknownKey("没有该密钥 no such key")
	// ErrWrongUsage: the key exists, for another purpose (一钥一用).
	ErrWrongUsage = errors.New("密钥用途不符 key is not for this use")
	// ErrFactors: the diversification factors are not those of the key's depth.
	ErrFactors = errors.New("密钥分散因子不符 wrong diversification factors")
	// ErrRetired: the version of the key is no longer used for anything.
	ErrRetired error = unknownKey("密钥已停用 key version is retired")
	// ErrNotActive: no version of the key is for new cards, or new data, now.
	ErrNotActive = errors.New("密钥未启用 no key version is active")
	// ErrInUse: data is sealed under the version, or may still be.
	ErrInUse = errors.New("仍有数据使用该版本 data is still sealed under this version")
	// ErrAlgorithm: the operation is not defined for the key's algorithm.
	ErrAlgorithm = errors.New("密钥算法不支持该操作 operation not defined for the key's algorithm")
	// ErrInput: an argument has the wrong length or form.
	ErrInput = errors.New("参数长度或格式错误 wrong length or form")
	// ErrSealed: what is to be opened was altered, or sealed for another context.
	ErrSealed = errors.New("密文被改动或不属于此处 sealed value altered or from another context")
	// ErrExists: a key or a file of that name is there already.
	ErrExists = errors.New("已存在 exists already")
)

// What can go wrong with a key block.
var (
	// ErrNotExportable: the key was made never to leave.
	ErrNotExportable = errors.New("密钥不可导出 key is not exportable")
	// ErrWeak: the key-exchange key is weaker than the key it is to protect.
	ErrWeak = errors.New("密钥交换密钥强度不足 key-exchange key is weaker than the key")
	// ErrNotInBlock: the key block says something else than the key's
	// description, or cannot say it.
	ErrNotInBlock = errors.New("与密钥块所载不符 not what the key block says, or can say")
	// ErrBlock: the key block is malformed, altered or from another
	// key-exchange key.
	ErrBlock = errors.New("密钥块无效 key block is not valid")
)

// What can go wrong on a secure channel.
var (
	// ErrNoChannel: the keeper holds no secure channels.
	ErrNoChannel error = unsupported("密钥保管方不支持安全通道 this keeper of keys holds no secure channels")
	// ErrCardCryptogram: the chip did not prove that it holds the channel's keys.
	ErrCardCryptogram error = chipError("芯片未通过安全通道认证 the chip did not authenticate on the secure channel")
	// ErrResponseMAC: an answer is not the chip's, or not to this command.
	ErrResponseMAC error = chipError("应答的校验不符 MAC of the response is wrong")
	// ErrChannelAborted: the session ended with a security error or before its
	// script did; a new one must be opened.
	ErrChannelAborted = errors.New("安全通道会话已中止，需重新建立 the secure channel session is aborted; open a new one")
)

// What can go wrong with the files.
var (
	// ErrWrongKEK: the key-encryption key is not the one the file was sealed with.
	ErrWrongKEK = errors.New("密钥加密密钥不符 wrong key-encryption key")
	// ErrTampered: the key file is not as this package wrote it.
	ErrTampered = errors.New("密钥文件被改动 key file was altered")
	// ErrFormat: the file is not a file of the kind expected.
	ErrFormat = errors.New("密钥文件格式错误 wrong file format")
	// ErrPermissions: others than the owner may reach the file, or it is not ours.
	ErrPermissions = errors.New("文件权限过宽，应为本用户所有且 0600 file must be owned by this user with mode 0600")
	// ErrChanged: another process wrote the key file since it was opened.
	ErrChanged = errors.New("密钥文件已被其他进程更新，请重新打开 key file was changed by another process; open it again")
	// ErrPassphrase: the passphrase is not the custodian's, or the sealed
	// component was altered.
	ErrPassphrase = errors.New("口令不符或分量被改动 wrong passphrase, or the component was altered")
	// ErrCeremony: the ceremony is not at that step.
	ErrCeremony = errors.New("密钥仪式未到或已过这一步 the ceremony is not at this step")
	// ErrShares: the two shares do not belong together.
	ErrShares = errors.New("两个密钥分量不成对 the two shares do not belong together")
)

// unknownKey is an error about a version of a key that is not to be had. Whoever
// may not import this package knows it by its method.
type unknownKey string

func (e unknownKey) Error() string { return string(e) }

// UnknownKey marks the error.
func (unknownKey) UnknownKey() {}

// unsupported is an error about something that the keeper does not do.
type unsupported string

func (e unsupported) Error() string { return string(e) }

// Is makes errors.Is find errors.ErrUnsupported.
func (unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// chipError is an error that is the chip's. Whoever may not import this package
// knows it by its method.
type chipError string

func (e chipError) Error() string { return string(e) }

// WrongChip marks the error: the chip does not hold the keys that it should.
func (chipError) WrongChip() {}

// keyError says which key an error is about.
func keyError(name string, version int, err error) error {
	return fmt.Errorf("密钥 key %.32q 版本 version %d: %w", name, version, err)
}

// inputError says which argument is wrong and what was expected.
func inputError(argument, expected string) error {
	return fmt.Errorf("%s: %s: %w", argument, expected, ErrInput)
}
