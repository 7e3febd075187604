package driver

import (
	"context"
	"encoding/hex"
	"strings"

	"onecard/apdu"
)

// The steps of a reload and of an unblock expect one another.
const (
	reload  = "ReloadPIN"
	unblock = "UnblockPIN"
)

// ReloadPINStep1 begins a PIN reload (iReloadPIN_HSM_Step1):
// 算法标识|密钥地址|过程因子|原始信息| of PUK.
func (c *Card) ReloadPINStep1(ctx context.Context, cardInfo string) (string, error) {
	return c.pinStep1(ctx, cardInfo, reload)
}

// ReloadPINStep2 takes the authentication with PUK (外部认证鉴别数据|), asks the
// holder for the new number and returns
// 算法标识|密钥地址|过程因子|命令头|密码| of STK (iReloadPIN_HSM_Step2).
func (c *Card) ReloadPINStep2(ctx context.Context, key string) (string, error) {
	if c.config.PINPad == nil {
		return "", ErrUnsupported
	}
	pin, err := c.config.PINPad(ctx)
	if err != nil {
		return "", err
	}
	if c.profile == nil || len(pin) != c.profile.PIN.Digits || strings.Trim(pin, "0123456789") != "" {
		return "", ErrPINLength
	}
	return c.pinStep2(ctx, key, reload, pin)
}

// ReloadPINStep3 hands the card the secure message (iReloadPIN_HSM_Step3).
func (c *Card) ReloadPINStep3(ctx context.Context, message string) error {
	return c.pinStep3(ctx, message, reload)
}

// UnblockPINStep1 begins an unblock of the PIN (iUnblockPIN_HSM_Step1).
func (c *Card) UnblockPINStep1(ctx context.Context, cardInfo string) (string, error) {
	return c.pinStep1(ctx, cardInfo, unblock)
}

// UnblockPINStep2 is ReloadPINStep2 without a number (iUnblockPIN_HSM_Step2).
func (c *Card) UnblockPINStep2(ctx context.Context, key string) (string, error) {
	return c.pinStep2(ctx, key, unblock, "")
}

// UnblockPINStep3 hands the card the secure message (iUnblockPIN_HSM_Step3).
func (c *Card) UnblockPINStep3(ctx context.Context, message string) error {
	return c.pinStep3(ctx, message, unblock)
}

func (c *Card) pinStep1(ctx context.Context, cardInfo, what string) (string, error) {
	if err := c.identify(ctx); err != nil {
		return "", err
	}
	if err := c.mine(cardInfo); err != nil {
		return "", err
	}
	_, key, ok := c.profile.Key("PUK")
	if !ok {
		return "", ErrUnsupported
	}
	address, err := c.address(key)
	if err != nil {
		return "", err
	}
	out, err := c.ask(ctx, key, address)
	if err == nil {
		c.expects = what + "2"
	}
	return out, err
}

// headers of the commands with Lc: the enciphered block, one of the cipher's
// blocks, and four bytes of MAC. The form for SM4 is assumed from that for DES.
var headers = map[string]map[string]string{
	"01": {reload: "842400010C", unblock: "8424000004"},
	"03": {reload: "8424000114", unblock: "8424000004"},
}

func (c *Card) pinStep2(ctx context.Context, key, what, pin string) (string, error) {
	if err := c.follows(what + "2"); err != nil {
		return "", err
	}
	_, maintenance, ok := c.profile.Key("STK")
	if !ok {
		return "", ErrUnsupported
	}
	address, err := c.address(maintenance)
	if err != nil {
		return "", err
	}
	if err := c.authenticate(ctx, part(key, 0)); err != nil {
		return "", err
	}
	taken, err := c.challenges(ctx, 1)
	if err != nil {
		return "", err
	}
	c.expects, c.header = what+"3", headers[c.algorithm()][what]
	return join(c.algorithm(), address, upperHex(taken[0]), c.header, pin, ""), nil
}

func (c *Card) pinStep3(ctx context.Context, message, what string) error {
	if err := c.follows(what + "3"); err != nil {
		return err
	}
	message = part(message, 0)
	if !strings.HasPrefix(message, c.header) {
		return ErrDiffers
	}
	raw, err := hex.DecodeString(message)
	if err != nil {
		return ErrInput
	}
	command, err := apdu.ParseCommand(raw)
	if err != nil {
		return ErrInput.because(err)
	}
	_, err = c.send(ctx, command)
	return err
}
