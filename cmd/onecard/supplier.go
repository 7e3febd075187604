package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"onecard/issuance/production"
)

type supplierCommand struct {
	signedIn
	ID          string `arg:"" help:"Name of the approval here, such as lab-300. 编号。"`
	Institution string `help:"The maker, as the registry has it. 卡商机构。"`
	Product     string `help:"The product. 产品。"`
	Approval    string `help:"Number of the approval. 批准文号。"`
	Version     string `default:"3.00" help:"Specification version. 规范版本。"`
	Quota       int64  `help:"Cards approved. 批准数量。"`
	From        string `placeholder:"DAY" help:"First day. 起始日期。"`
	To          string `placeholder:"DAY" help:"Last day. 截止日期。"`
	DeliveryKey string `help:"The keeper's key of delivery, from a ceremony with the maker. 制卡传输密钥名。"`
	Certificate string `type:"existingfile" help:"The maker's certificate, PEM. 卡商证书。"`
	Suspend     bool   `help:"Order nothing there any more. 停用。"`
	Reason      string `required:"" help:"Why. 原因。"`
}

// Run enters, changes or suspends a supplier.
func (c *supplierCommand) Run(ctx context.Context, out streams) error {
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		if c.Suspend {
			return s.Suspend(ctx, who, c.ID, c.Reason)
		}
		certificate, err := os.ReadFile(c.Certificate)
		if err != nil {
			return err
		}
		err = s.Approve(ctx, who, production.Supplier{
			ID: c.ID, Institution: c.Institution, Product: c.Product, Approval: c.Approval, SpecVersion: c.Version, Quota: c.Quota,
			ValidFrom: c.From, ValidTo: c.To, DeliveryKey: c.DeliveryKey, Certificate: string(certificate),
		}, c.Reason)
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "已登记 entered: %s，%d 张 cards\n", c.ID, c.Quota)
		}
		return err
	})
}

type batchChipsCommand struct {
	signedIn
	File string `arg:"" type:"existingfile" help:"The signed list. 芯片清单（签名）。"`
}

// Run takes a list of chips.
func (c *batchChipsCommand) Run(ctx context.Context, out streams) error {
	token, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return c.withBatches(ctx, out, func(s *production.Service, who production.Who) error {
		added, err := s.AddChips(ctx, who, strings.TrimSpace(string(token)))
		if err == nil {
			_, err = fmt.Fprintf(out.Out, "新增芯片 new chips: %d\n", added)
		}
		return err
	})
}
