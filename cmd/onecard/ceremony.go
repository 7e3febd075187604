package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"onecard/keys"
)

// What goes wrong at the terminal of a ceremony.
var (
	errTwice      = errors.New("两次输入不一致 the two entries differ")
	errCheckValue = errors.New("校验值不符 the check value does not agree")
)

type ceremonyBeginCommand struct {
	settings
	keyFlags
	Dir        string `arg:"" type:"path" help:"New directory of the ceremony. 仪式目录（新建）。"`
	Custodians int    `default:"2" help:"2 or 3. 保管人数。"`
}

// Run begins a ceremony.
func (c *ceremonyBeginCommand) Run(ctx context.Context, out streams) error {
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		spec, version, err := c.spec(keeper)
		if err != nil {
			return err
		}
		ceremony, err := keys.BeginCeremony(c.Dir, spec, version, c.Custodians, rand.Reader, time.Now)
		if err != nil {
			return err
		}
		record := ceremony.Record()
		detail := described(spec, version)
		detail["custodians"] = strconv.Itoa(c.Custodians)
		err = p.recorded(ctx, "keys.ceremony.begun", "ceremony:"+record.ID, detail, func() error { return nil })
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "密钥仪式 %s：%s 版本 %d，%d 个分量。请各保管人依次运行 onecard keys ceremony component %s\nceremony %s: %s version %d, %d components. Each custodian in turn: onecard keys ceremony component %s\n",
			record.ID, spec.Name, version, c.Custodians, c.Dir, record.ID, spec.Name, version, c.Custodians, c.Dir)
		return err
	})
}

type ceremonyComponentCommand struct {
	settings
	Dir       string `arg:"" type:"path" help:"Directory of the ceremony. 仪式目录。"`
	Custodian string `required:"" help:"Your staff number. 本人工号。"`
	Generate  bool   `help:"Make the component here instead of typing it. 在此生成分量。"`
	Print     string `type:"path" placeholder:"FILE" help:"With --generate: write it to a new file of mode 0600 instead of showing it once. 写入文件，不显示。"`
}

// errPrint: a typed component is on paper already.
var errPrint = errors.New("--print 只与 --generate 同用 --print goes with --generate only")

// Run is one custodian's session: nobody else sees what is typed or shown.
func (c *ceremonyComponentCommand) Run(ctx context.Context, out streams) error {
	if c.Print != "" && !c.Generate {
		return errPrint
	}
	ceremony, err := keys.ResumeCeremony(c.Dir, rand.Reader, time.Now)
	if err != nil {
		return err
	}
	if err := ceremony.Admit(c.Custodian); err != nil {
		return err
	}
	return c.withRecords(ctx, out, func(p *platform) error {
		terminal, err := openTerminal(out)
		if err != nil {
			return err
		}
		return errors.Join(c.session(ctx, p, ceremony, terminal), terminal.close())
	})
}

// session asks for the passphrase and the component and keeps both.
func (c *ceremonyComponentCommand) session(ctx context.Context, p *platform, ceremony *keys.Ceremony, t *secretTerminal) error {
	record := ceremony.Record()
	number, _ := ceremony.Next()
	t.printf("密钥仪式 %s：%s 版本 %d，分量 %d/%d，保管人 %s\nceremony: component %d of %d, custodian %s\n",
		record.ID, record.Key.Name, record.Version, number, record.Custodians, c.Custodian, number, record.Custodians, c.Custodian)
	passphrase, err := newPassphrase(ctx, t)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	obtain := typedComponent
	if c.Generate {
		obtain = c.generatedComponent
	}
	component, err := obtain(ctx, t, record.Key)
	if err != nil {
		return err
	}
	defer component.Clear()
	kcv, method, err := component.CheckValue()
	if err != nil {
		return err
	}
	detail := map[string]string{
		"component": strconv.Itoa(number), "custodian": c.Custodian, "generated": strconv.FormatBool(c.Generate),
		"checkValue": kcv, "method": method,
	}
	err = p.recorded(ctx, "keys.ceremony.component", "ceremony:"+record.ID, detail, func() error {
		return ceremony.Enter(c.Custodian, component, c.Generate, passphrase)
	})
	if err != nil {
		return err
	}
	t.printf("分量 %d 已封存，校验值 %s（%s）\ncomponent %d is sealed, check value %s\n", number, strings.ToUpper(kcv), method, number, strings.ToUpper(kcv))
	return nil
}

// newPassphrase asks a custodian for a passphrase, twice.
func newPassphrase(ctx context.Context, t *secretTerminal) (passphrase []byte, err error) {
	err = t.again(func() error {
		if passphrase, err = t.secret(ctx, "口令（至少 12 个字符） passphrase, at least 12 characters"); err != nil {
			return err
		}
		if err := keys.CheckPassphrase(passphrase); err != nil {
			return err
		}
		repeated, err := t.secret(ctx, "再输一次 once more")
		if err != nil {
			return err
		}
		defer clear(repeated)
		if string(repeated) != string(passphrase) {
			return errTwice
		}
		return nil
	}, errTwice, keys.ErrInput)
	return passphrase, err
}

// typedComponent asks for a component that the custodian has on paper, and for
// the check value there. The computed one is not shown before.
func typedComponent(ctx context.Context, t *secretTerminal, spec keys.Spec) (component keys.Component, err error) {
	err = t.again(func() error {
		component, err = askComponent(ctx, t, spec, "分量（十六进制，不显示） component in hexadecimal, not shown")
		if err != nil {
			return err
		}
		return confirm(ctx, t, component, "纸上的校验值 check value on the paper")
	}, errCheckValue, keys.ErrFormat)
	return component, err
}

func askComponent(ctx context.Context, t *secretTerminal, spec keys.Spec, question string) (keys.Component, error) {
	text, err := t.secret(ctx, question)
	if err != nil {
		return keys.Component{}, err
	}
	defer clear(text)
	return keys.ParseComponent(spec, text)
}

// confirm asks for a check value and compares it with the component's.
func confirm(ctx context.Context, t *secretTerminal, component keys.Component, question string) error {
	typed, err := t.line(ctx, question)
	if err != nil {
		return err
	}
	kcv, _, err := component.CheckValue()
	if err != nil {
		return err
	}
	if !strings.EqualFold(typed, kcv) {
		return errCheckValue
	}
	return nil
}

// generatedComponent makes a component and hands it to its custodian: in a
// file, or shown once, wiped, and typed back from the paper it was written on.
func (c *ceremonyComponentCommand) generatedComponent(ctx context.Context, t *secretTerminal, spec keys.Spec) (keys.Component, error) {
	component, err := keys.GenerateComponent(spec, rand.Reader)
	if err != nil {
		return keys.Component{}, err
	}
	kcv, method, err := component.CheckValue()
	if err != nil {
		return keys.Component{}, err
	}
	if c.Print != "" {
		if err := component.WriteFile(c.Print); err != nil {
			return keys.Component{}, err
		}
		t.printf("分量已写入 the component is in %s\n", c.Print)
		return component, t.again(func() error { return confirm(ctx, t, component, "文件中的校验值 check value in the file") }, errCheckValue)
	}
	shown := component.Reveal()
	t.printf("\n  %s\n  校验值 check value (%s): %s\n\n请抄写，然后按回车 write it down, then press Enter", shown, method, strings.ToUpper(kcv))
	clear(shown)
	_, err = t.secret(ctx, "")
	t.wipe()
	if err != nil {
		return keys.Component{}, err
	}
	err = t.again(func() error {
		copied, err := askComponent(ctx, t, spec, "请照抄件输入分量（不显示） type it from your copy, not shown")
		if err != nil {
			return err
		}
		defer copied.Clear()
		if !copied.Equal(component) {
			return errTwice
		}
		return nil
	}, errTwice, keys.ErrFormat)
	return component, err
}

type ceremonyCombineCommand struct {
	settings
	Dir string `arg:"" type:"path" help:"Directory of the ceremony. 仪式目录。"`
}

// Run combines the key when all custodians are there.
func (c *ceremonyCombineCommand) Run(ctx context.Context, out streams) error {
	ceremony, err := keys.ResumeCeremony(c.Dir, rand.Reader, time.Now)
	if err != nil {
		return err
	}
	if _, more := ceremony.Next(); more || !ceremony.Record().Finished.IsZero() {
		return keys.ErrCeremony
	}
	return c.withKeys(ctx, out, func(p *platform, keeper *keys.Keeper) error {
		terminal, err := openTerminal(out)
		if err != nil {
			return err
		}
		return errors.Join(combine(ctx, p, keeper, ceremony, terminal), terminal.close())
	})
}

// combine has every custodian open a component and all of them confirm the
// key's check value, and takes the key in.
func combine(ctx context.Context, p *platform, keeper *keys.Keeper, ceremony *keys.Ceremony, t *secretTerminal) error {
	record := ceremony.Record()
	t.printf("密钥仪式 %s：合成 %s 版本 %d\nceremony %s: combining %s version %d\n", record.ID, record.Key.Name, record.Version, record.ID, record.Key.Name, record.Version)
	var components []keys.Component
	defer func() {
		for _, component := range components {
			component.Clear()
		}
	}()
	onPaper := false
	for _, entered := range record.Components {
		component, err := openComponent(ctx, t, ceremony, entered)
		if err != nil {
			return err
		}
		components = append(components, component)
		onPaper = onPaper || !entered.Generated
	}
	key, err := ceremony.Combine(components...)
	if err != nil {
		return err
	}
	defer key.Clear()
	kcv, method, err := key.CheckValue()
	if err != nil {
		return err
	}
	question := "发送方给出的密钥校验值 the key's check value, as its sender gave it"
	if !onPaper {
		// Nobody knows it yet: it goes on record, and on everybody's paper.
		t.printf("密钥校验值 check value of the key (%s): %s\n", method, strings.ToUpper(kcv))
		question = "请抄录并输入确认 write it down and type it to confirm"
	}
	if err := t.again(func() error { return confirm(ctx, t, key, question) }, errCheckValue); err != nil {
		return err
	}
	detail := described(record.Key, record.Version)
	detail["checkValue"], detail["method"] = kcv, method
	for _, entered := range record.Components {
		detail["custodian"+strconv.Itoa(entered.Number)] = entered.Custodian
	}
	err = p.recorded(ctx, "keys.ceremony.finished", "ceremony:"+record.ID, detail, func() error {
		return keeper.Accept(ceremony, key)
	})
	if err != nil {
		return err
	}
	t.printf("密钥 %s 版本 %d 已入库，校验值 %s\nkey %s version %d is taken in, check value %s\n", record.Key.Name, record.Version, strings.ToUpper(kcv), record.Key.Name, record.Version, strings.ToUpper(kcv))
	return nil
}

// openComponent asks a custodian for the passphrase of a component.
func openComponent(ctx context.Context, t *secretTerminal, ceremony *keys.Ceremony, entered keys.Entered) (component keys.Component, err error) {
	err = t.again(func() error {
		passphrase, err := t.secret(ctx, fmt.Sprintf("保管人 custodian %s：口令 passphrase", entered.Custodian))
		if err != nil {
			return err
		}
		defer clear(passphrase)
		component, err = ceremony.Open(entered.Number, passphrase)
		return err
	}, keys.ErrPassphrase)
	return component, err
}

type ceremonyShowCommand struct {
	Dir string `arg:"" type:"path" help:"Directory of the ceremony. 仪式目录。"`
}

// Run prints the record of a ceremony.
func (c *ceremonyShowCommand) Run(out streams) error {
	ceremony, err := keys.ResumeCeremony(c.Dir, rand.Reader, time.Now)
	if err != nil {
		return err
	}
	record := ceremony.Record()
	_, err = fmt.Fprintf(out.Out, "%s  %s  版本 version %d  分量 components %d/%d\n", record.ID, record.Key.Name, record.Version, len(record.Components), record.Custodians)
	for _, e := range record.Components {
		_, failed := fmt.Fprintf(out.Out, "  %d  %s  %s  %s\n", e.Number, e.Custodian, strings.ToUpper(e.CheckValue), e.At.Local().Format(time.DateTime))
		err = errors.Join(err, failed)
	}
	if !record.Finished.IsZero() {
		_, failed := fmt.Fprintf(out.Out, "完成 finished %s  %s (%s)\n", record.Finished.Local().Format(time.DateTime), strings.ToUpper(record.CheckValue), record.Method)
		err = errors.Join(err, failed)
	}
	return err
}

// readPublic reads a file that holds no secret.
func readPublic(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	return string(text), nil
}
