package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/term"

	"onecard/keys"
	"onecard/keys/pkcs11"
)

// backend is an open keeper: its end, if it can end by itself, and how it is
// closed.
type backend struct {
	keys.Backend
	lost  <-chan struct{}
	close func() error
}

// open opens what the configuration names.
func open(c config, out streams) (backend, error) {
	if c.Backend == backendPKCS11 {
		token, err := openToken(c)
		if err != nil {
			return backend{}, err
		}
		return backend{token, token.Lost(), token.Close}, nil
	}
	kek, err := readKEK(c.File, out)
	if err != nil {
		return backend{}, err
	}
	keeper, err := keys.Open(c.File.Path, kek)
	return backend{keeper, nil, func() error { return nil }}, err
}

// openToken logs in to the token.
func openToken(c config) (token *pkcs11.Keeper, err error) {
	if c.Backend != backendPKCS11 {
		return nil, fmt.Errorf("%w: backend: 此命令只用于 pkcs11 this command is for pkcs11", errSetting)
	}
	err = keys.LendSecret(c.PKCS11.PIN, func(pin []byte) error {
		config := pkcs11.Config{Module: c.PKCS11.Module, Token: c.PKCS11.Token, Sessions: c.PKCS11.Sessions}
		token, err = pkcs11.Open(config, string(bytes.TrimRight(pin, "\r\n")))
		return err
	})
	return token, err
}

func readKEK(c fileConfig, out streams) (keys.KEK, error) {
	switch {
	case c.KEK != "":
		return keys.ReadKEK(c.KEK)
	case len(c.Shares) == 2:
		first, err := keys.ReadShare(c.Shares[0])
		if err != nil {
			return keys.KEK{}, err
		}
		second, err := keys.ReadShare(c.Shares[1])
		if err != nil {
			return keys.KEK{}, err
		}
		return keys.Combine(first, second)
	}
	return enterShares(out)
}

// enterShares has two custodians enter their shares, one after another.
func enterShares(out streams) (keys.KEK, error) {
	var shares [2]keys.Share
	for i, custodian := range []string{"第一保管人 first custodian", "第二保管人 second custodian"} {
		if _, err := fmt.Fprintf(out.Err, "%s: 请输入密钥分量（不显示） enter the share (not shown): ", custodian); err != nil {
			return keys.KEK{}, err
		}
		line, err := readLine(out)
		if err == nil {
			shares[i], err = keys.ParseShare(bytes.NewReader(line))
		}
		clear(line)
		if _, newline := fmt.Fprintln(out.Err); err != nil || newline != nil {
			return keys.KEK{}, fmt.Errorf("%s: %w", custodian, errors.Join(err, newline))
		}
	}
	return keys.Combine(shares[0], shares[1])
}

// maxLine bounds what is entered.
const maxLine = 1024

// readLine reads one line, without showing it on a terminal.
func readLine(out streams) ([]byte, error) {
	if fd := int(out.In.Fd()); term.IsTerminal(fd) {
		return term.ReadPassword(fd)
	}
	// Byte by byte: what follows is the other custodian's.
	line := make([]byte, 0, maxLine)
	for one := make([]byte, 1); len(line) < maxLine; {
		n, err := out.In.Read(one)
		if n == 1 && one[0] != '\n' {
			line = append(line, one[0])
		}
		if n == 1 && one[0] == '\n' || errors.Is(err, io.EOF) {
			return line, nil
		}
		if err != nil {
			return line, err
		}
	}
	return line, keys.ErrFormat
}

// advice is what a person can do about an error at the start.
var advice = []struct {
	is         error
	what, todo string
}{
	{errNoSDF, "没有 SDF 后端 no SDF backend", "试用请用 backend: file for a trial use backend: file"},
	{errSetting, "配置有误 a setting is wrong", "请更正后再启动 correct it"},
	{keys.ErrPermissions, "文件权限不对 a file can be read by others", "请执行 chmod 600，并确认属主是运行本程序的用户 run chmod 600 on it, and let it belong to the user of this program"},
	{keys.ErrShares, "两个分量不成对 the shares do not belong together", "请核对两位保管人的分量 check both custodians' shares"},
	{keys.ErrWrongKEK, "密钥加密密钥不符 the key-encryption key is not the one of the key file", "请核对分量是否录入正确 check that the shares were entered rightly"},
	{keys.ErrTampered, "密钥文件被改动 the key file was altered", "请停止使用并报告，从备份恢复 do not go on: report it and restore the backup"},
	{pkcs11.ErrToken, "令牌故障或 PIN 不对 the token failed, or the PIN is wrong", "请检查令牌和 PIN；反复错误会锁定令牌 check both; repeated failures lock the token"},
}

// explain puts an error into words for the person who started the program.
func explain(err error) string {
	for _, a := range advice {
		if errors.Is(err, a.is) {
			return strings.Join([]string{a.what, err.Error(), "处理 what to do: " + a.todo}, "\n  ")
		}
	}
	return err.Error()
}
