// Command onecard is the province's platform and the commands of its operation:
// keys, database, workstations, operators. `onecard serve` is the platform;
// `onecard run` shows all of it on one machine. It alone holds keys, and it
// links no card reader.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"onecard/internal/memory"
)

type commands struct {
	Run         runCommand     `cmd:"" help:"The whole on this machine: issue a card and stay up. 在本机演示全流程。"`
	Serve       serveCommand   `cmd:"" help:"The platform. 启动平台。"`
	Migrate     migrateCommand `cmd:"" help:"Bring the database up to date. 更新数据库结构。"`
	Workstation struct {
		Enrol enrolCommand `cmd:"" help:"Make a workstation's certificate. 登记工作站证书。"`
	} `cmd:"" help:"Workstations. 工作站。"`
	Operator struct {
		Add operatorAddCommand `cmd:"" help:"Enter an operator. 登记操作员。"`
	} `cmd:"" help:"Operators. 操作员。"`
	Keys struct {
		Init      keysInitCommand      `cmd:"" help:"Make the province's keys. 生成省级密钥。"`
		Transport keysTransportCommand `cmd:"" help:"Import the chip maker's transport key. 导入卡商传输密钥。"`
		Channel   keysChannelCommand   `cmd:"" help:"Import a static key of a GlobalPlatform maker's channel. 导入卡商安全通道静态密钥。"`
		List      keysListCommand      `cmd:"" help:"List keys, versions and check values. 列出密钥和校验值。"`
		Life      keysLifeCommand      `cmd:"" help:"Say what a version of a key is still for. 设置密钥版本的状态和日期。"`
		Rotate    keysRotateCommand    `cmd:"" help:"Make the next version of a key. 生成密钥的下一版本。"`
		Reseal    keysResealCommand    `cmd:"" help:"Seal all personal data anew under the newest version of the key DATA. 换数据密钥：全部重新加密。"`
		Reindex   keysReindexCommand   `cmd:"" help:"Change to another version of the key INDEX while the platform serves. 换盲索引密钥。"`
		Destroy   keysDestroyCommand   `cmd:"" help:"Destroy a retired version of the key DATA or INDEX. 销毁已停用的数据密钥、盲索引密钥版本。"`
		Complete  keysCompleteCommand  `cmd:"" help:"Make the keys that the key file lacks, such as after an upgrade. 补齐缺少的密钥。"`
		Export    keysExportCommand    `cmd:"" help:"Export a key as a key block (TR-31). 以密钥块导出。"`
		Import    keysImportCommand    `cmd:"" help:"Import a key block (TR-31). 导入密钥块。"`
		Ceremony  struct {
			Begin     ceremonyBeginCommand     `cmd:"" help:"Begin a ceremony. 开始密钥仪式。"`
			Component ceremonyComponentCommand `cmd:"" help:"One custodian enters a component. 保管人录入分量。"`
			Combine   ceremonyCombineCommand   `cmd:"" help:"All custodians combine the key. 合成密钥。"`
			Show      ceremonyShowCommand      `cmd:"" help:"Print the record. 显示记录。"`
		} `cmd:"" help:"Key ceremony. 密钥仪式。"`
	} `cmd:"" help:"Keys. 密钥。"`
	Audit struct {
		Verify auditVerifyCommand `cmd:"" help:"Verify the audit log, here or in an export. 校验审计记录。"`
		Export auditExportCommand `cmd:"" help:"Export the audit log, signed. 导出审计记录。"`
	} `cmd:"" help:"The audit log. 审计。"`
	Sample struct {
		Load sampleLoadCommand `cmd:"" help:"Load the sample province, for trials. 装入示例数据。"`
	} `cmd:"" help:"Sample data. 示例数据。"`
	Places struct {
		Search  placesSearchCommand  `cmd:"" aliases:"list" help:"Look for places on a day. 查询。"`
		Tree    placesTreeCommand    `cmd:"" help:"A place and what lies below it. 逐级列出。"`
		History placesHistoryCommand `cmd:"" help:"Former codes and successors. 沿革。"`
		Load    placesLoadCommand    `cmd:"" help:"Load a newer table of townships and communities. 装入新的乡村表。"`
		Extract placesExtractCommand `cmd:"" help:"Turn a yearly table of townships and communities into a data file. 由年表生成数据文件。"`
	} `cmd:"" help:"Places: divisions, townships, communities. 行政区划。"`
	Exchange struct {
		Serve exchangeServeCommand `cmd:"" help:"The peers' interface. 启动外部单位接口。"`
		Peer  exchangePeerCommand  `cmd:"" help:"Enter a peer and make its certificate. 登记外部单位。"`

		Undelivered exchangeUndeliveredCommand `cmd:"" help:"What peers could not be told. 未能转发的消息。"`
	} `cmd:"" help:"The exchange store. 交换库。"`
	Decision struct {
		Take decisionTakeCommand `cmd:"" help:"Take the facts of a day now. 立即生成每日快照。"`
	} `cmd:"" help:"The decision store. 决策库。"`
	Ministry struct {
		Certificate ministryCertificateCommand `cmd:"" help:"Make the certificate that the province shows the ministry. 生成省级证书。"`
		State       ministryStateCommand       `cmd:"" help:"How the ministry's copies of our cards stand. 上传情况。"`
		Resend      ministryResendCommand      `cmd:"" help:"Tell the ministry of the cards that are due, or of one. 补传。"`
		Query       ministryQueryCommand       `cmd:"" help:"Ask for cards in other provinces. 重卡查询。"`
		Ask         ministryAskCommand         `cmd:"" help:"Ask about applications that wait for a review and were entered before their place asked. 待复核申领补查重。"`
		Statistics  ministryStatisticsCommand  `cmd:"" help:"Send a month's statistics. 月度统计。"`
		Compare     ministryCompareCommand     `cmd:"" help:"Compare the ministry's copies with ours. 核对。"`
	} `cmd:"" help:"The ministry's base of card holders. 部级持卡库。"`
	Bank struct {
		Out       bankOutCommand       `cmd:"" help:"Open accounts by a file. 生成开户文件。"`
		In        bankInCommand        `cmd:"" help:"Take files of banks: accounts opened, statements. 接收银行文件。"`
		Open      bankOpenCommand      `cmd:"" help:"Open one account by message. 实时预开户。"`
		Fee       bankFeeCommand       `cmd:"" help:"Charge what a card costs, or give it back. 收费、退费。"`
		Tell      bankTellCommand      `cmd:"" help:"Tell the banks how a card or a person is now. 告知银行。"`
		Orders    bankOrdersCommand    `cmd:"" help:"What banks were asked to do. 银行指令。"`
		Reconcile bankReconcileCommand `cmd:"" help:"Reconciled days and open differences. 对账。"`
		Peer      bankPeerCommand      `cmd:"" help:"The banks and their lines. 银行线路。"`
	} `cmd:"" help:"Banks. 银行。"`
	Inventory  inventoryCommand `cmd:"" help:"What every column holds, for how long, who reads it, how it is protected. 数据清单。"`
	Mapping    mappingCommand   `cmd:"" help:"Print the mapping table of a peer: indicator codes and code values. 打印指标对照表。"`
	Check      checkCommand     `cmd:"" help:"Residents to be checked by another authority, and its answers, as files. 公安比对、部级查重。"`
	Import     importCommand    `cmd:"" help:"Take over residents from a file of another system. 导入存量数据。"`
	Province   provinceCommand  `cmd:"" help:"Make up a province as the table of another system, for trials and measurements. 生成模拟全省数据。"`
	Duplicates struct {
		Scan duplicatesCommand `cmd:"" help:"Look for residents who are registered twice. 批量查重。"`
	} `cmd:"" help:"Residents registered twice. 疑似重复。"`
	Card struct {
		Receipt receiptCommand `cmd:"" help:"What was certified of a card when it was made. 制卡回执。"`
		Face    faceCommand    `cmd:"" help:"The printed side of a card, as a PDF. 卡面。"`
	} `cmd:"" help:"Cards. 卡。"`
	Apply struct {
		List applyListCommand `cmd:"" help:"Take the list of an employer, a school or a village; again, it goes on. 集体申领。"`
	} `cmd:"" help:"Applications. 申领。"`
	Rules struct {
		List rulesListCommand `cmd:"" default:"1" help:"List the versions of the rules. 列出规则版本。"`
		At   rulesAtCommand   `cmd:"" help:"Print a rule as it stood at an instant. 打印某时点的规则。"`
	} `cmd:"" help:"The rules by which the platform works, as they stood. 规则版本。"`
	Batch    batchCommands   `cmd:"" help:"Cards made by a maker, in batches. 批量制卡。"`
	Workflow workflowCommand `cmd:"" help:"Print the workflow: states, events, who may; or what has happened to a card or a person. 打印工作流程或办理经过。"`
	Notices  noticesCommand  `cmd:"" help:"The messages to holders that wait for the short-message service. 待发短信。"`
	Stock    stockCommands   `cmd:"" help:"Stock and custody of cards. 库存与保管。"`
	Version  versionCommand  `cmd:"" help:"What was built. 版本。"`
}

// streams are where commands read and write.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

func main() {
	memory.Relax(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed := kong.Parse(&commands{}, kong.Name("onecard"), kong.Description("一卡通省级平台 OneCard, the platform of the social security card"),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(streams{os.Stdin, os.Stdout, os.Stderr}))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "onecard:", explain(err))
		stop()
		os.Exit(1)
	}
}
