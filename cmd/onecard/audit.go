package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"onecard/registry"
	"onecard/registry/audit"
)

type auditVerifyCommand struct {
	settings
	Export      string   `type:"path" placeholder:"DIR" help:"Verify an export instead of the database; needs no database and no key. 校验导出的审计记录。"`
	Certificate string   `type:"path" placeholder:"FILE" help:"The province's certificate (ca.pem); default the one of this installation. 省级根证书。"`
	Anchor      []string `type:"path" placeholder:"FILE" help:"Signed heads kept elsewhere, such as heads.jws of an earlier export. 另行保存的链尾签名。"`
}

// Run verifies the audit log and says what is wrong with it.
func (c *auditVerifyCommand) Run(ctx context.Context, out streams) error {
	began := time.Now()
	report, err := c.verify(ctx, out)
	if err != nil {
		return err
	}
	for _, f := range report.Findings {
		fmt.Fprintln(out.Out, "✘", f)
	}
	took := time.Since(began)
	fmt.Fprintf(out.Out, "%d 条链，%d 条记录，%.1f 秒 chains, entries, seconds\n", len(report.Ends), report.Entries, took.Seconds())
	if len(report.Findings) > 0 {
		return fmt.Errorf("%w: %d", errAudit, len(report.Findings))
	}
	_, err = fmt.Fprintln(out.Out, "审计记录完整 the audit log is whole")
	return err
}

var errAudit = errors.New("审计记录异常 the audit log is not whole")

func (c *auditVerifyCommand) verify(ctx context.Context, out streams) (*audit.Report, error) {
	if c.Export != "" {
		roots, err := c.roots()
		if err != nil {
			return nil, err
		}
		points, err := c.anchors(roots)
		if err != nil {
			return nil, err
		}
		return audit.VerifyExport(c.Export, roots, points)
	}
	var report *audit.Report
	err := c.withRecords(ctx, out, func(p *platform) error {
		roots := p.roots()
		points, err := c.anchors(roots)
		if err != nil {
			return err
		}
		if err := p.anchor().add(points, roots); err != nil {
			return err
		}
		statements, err := p.db.AuditCheckpoints(ctx)
		if err != nil {
			return err
		}
		for _, token := range statements {
			statement, err := audit.OpenStatement(token, roots)
			if err := cmp.Or(err, points.Add(statement)); err != nil {
				return err
			}
		}
		report, err = p.db.CheckAudit(ctx, nil, points)
		return err
	})
	return report, err
}

func (c *auditVerifyCommand) anchors(roots *x509.CertPool) (audit.Points, error) {
	points := audit.Points{}
	for _, file := range c.Anchor {
		if err := points.AddFile(file, roots); err != nil {
			return nil, err
		}
	}
	return points, nil
}

// roots reads the province's certificate.
func (c *auditVerifyCommand) roots() (*x509.CertPool, error) {
	file := c.Certificate
	if file == "" {
		config, err := load(c.Config, os.Environ, c.given())
		if err != nil {
			return nil, err
		}
		file = filepath.Join(config.pkiDir(), "ca.pem")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate: %s: %w", file, errCertificate)
	}
	return roots, nil
}

var errCertificate = errors.New("应为 PEM 证书 must be a certificate in PEM")

func (p *platform) roots() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.authority.CA())
	return roots
}

type auditExportCommand struct {
	settings
	Out string `required:"" type:"path" placeholder:"DIR" help:"An empty or new directory. 导出目录。"`
}

// Run exports the audit log with the signed ends of its chains.
func (c *auditExportCommand) Run(ctx context.Context, out streams) error {
	return c.withRecords(ctx, out, func(p *platform) error {
		report, err := p.db.ExportAudit(ctx, c.Out, signer{p.authority}.Sign)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.Out, "已导出 %d 条链，%d 条记录 chains and entries exported: %s\n", len(report.Ends), report.Entries, c.Out)
		return err
	})
}

// anchorFile keeps the newest signed ends beside the keys, outside the
// database: a database that was set back to an earlier state contradicts it.
type anchorFile string

func (p *platform) anchor() anchorFile {
	return anchorFile(filepath.Join(p.config.Data, "audit-heads.jws"))
}

// Load implements registry.Anchor.
func (a anchorFile) Load() (string, error) {
	text, err := os.ReadFile(string(a))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(bytes.TrimSpace(text)), err
}

// Store implements registry.Anchor. The file is whole at any time.
func (a anchorFile) Store(token string) error {
	next := string(a) + ".new"
	if err := os.WriteFile(next, []byte(token+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(next, string(a))
}

func (a anchorFile) add(points audit.Points, roots *x509.CertPool) error {
	token, err := a.Load()
	if err != nil || token == "" {
		return err
	}
	statement, err := audit.OpenStatement(token, roots)
	return cmp.Or(err, points.Add(statement))
}

// How often the platform verifies its audit log: see registry.AuditWatch. What
// is wrong is found within a minute as long as a pass takes no longer than half
// of that.
const (
	auditTail = 5 * time.Second
	auditPass = 20 * time.Second
	auditKeep = 5 * time.Minute
)

// watchAudit verifies the audit log while the platform runs, and reports.
func (p *platform) watchAudit(ctx context.Context) {
	roots := p.roots()
	watch := registry.AuditWatch{
		Sign:   signer{p.authority}.Sign,
		Open:   func(token string) (audit.Statement, error) { return audit.OpenStatement(token, roots) },
		Anchor: p.anchor(), Tail: auditTail, Pass: auditPass, Keep: auditKeep,
		Found: func(f *audit.Finding) {
			p.logger.ErrorContext(ctx, "审计记录异常 the audit log is not whole", "chain", f.Chain, "seq", f.Seq, "last", f.Last, "finding", f.Kind)
		},
	}
	p.db.NewAuditWatcher(watch).Run(ctx, p.logger)
}
