package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"onecard/issuance"
	"onecard/issuance/production"
	"onecard/registry"
)

// errBatchPlace: a batch is looked at by the offices of its place and above.
var errBatchPlace = errors.New("api: the batch is of another place")

// maxBatches is the page of batches when the caller names none.
const maxBatches = 50

// Batches implements StrictServerInterface (制卡批次).
func (s *Server) Batches(ctx context.Context, request BatchesRequestObject) (BatchesResponseObject, error) {
	scope, err := s.db.Scope(ctx, callerOf(ctx).operator.Reach())
	if err != nil {
		return nil, err
	}
	places, wide := scope.Codes()
	if !wide {
		places = []string{} // batches are of counties and above
	}
	all, err := s.production.List(ctx, string(deref(request.Params.State, "")), places, deref(request.Params.Limit, maxBatches))
	if err != nil {
		return nil, err
	}
	answer := Batches200JSONResponse{Batches: make([]ProductionBatch, len(all))}
	for i, b := range all {
		answer.Batches[i] = batchView(b)
	}
	return answer, nil
}

// Batch implements StrictServerInterface (批次经过).
func (s *Server) Batch(ctx context.Context, request BatchRequestObject) (BatchResponseObject, error) {
	b, err := s.ownBatch(ctx, request.Number)
	if err != nil {
		return nil, err
	}
	counts, err1 := s.production.Counts(ctx, b.ID)
	files, err2 := s.production.Files(ctx, b.ID)
	story, err3 := s.production.Story(ctx, b.ID)
	lacks, err4 := s.production.Lacks(ctx, b, counts)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	answer := BatchStory{Batch: batchView(b), Rows: []BatchRows{}, Lacks: views(lacks, lackView), Closable: closable(callerOf(ctx).operator, b, counts), Files: make([]BatchFile, len(files)), Story: []BatchEvent{}}
	for _, state := range slices.Sorted(maps.Keys(counts)) {
		answer.Rows = append(answer.Rows, BatchRows{State: state, Text: textView(rowTexts[state]), Count: counts[state]})
	}
	for i, f := range files {
		answer.Files[i] = BatchFile{
			Kind: BatchFileKind(f.Kind), Name: f.Name, Records: f.Records, Accepted: f.Accepted, Repeated: f.Repeated, Refused: f.Refused,
			At: f.At.UTC(), Operator: f.Operator,
		}
	}
	for _, r := range slices.Backward(story) {
		if event, ok := batchEvent(r); ok {
			answer.Story = append(answer.Story, event)
		}
	}
	return Batch200JSONResponse(answer), nil
}

// ownBatch returns a batch of the operator's place or below it.
func (s *Server) ownBatch(ctx context.Context, number string) (production.Batch, error) {
	b, err := s.production.Batch(ctx, number)
	if err != nil {
		return b, err
	}
	scope, err := s.db.Scope(ctx, callerOf(ctx).operator.Reach())
	if err == nil && !scope.Covers(b.Place, "") {
		err = errBatchPlace
	}
	return b, err
}

func batchView(b production.Batch) ProductionBatch {
	return ProductionBatch{
		Number: b.Number, Kind: ProductionBatchKind(b.Kind), Supplier: b.Supplier, Bank: b.Bank, CardType: b.CardType, Place: b.Place,
		State: BatchState(b.State), StateText: textView(production.Batches.State(b.State).Text), Size: b.Size, Most: b.Most,
		Made: b.Made, Unmade: b.Unmade, Scrapped: b.Scrapped, OrderedBy: b.OrderedBy, CreatedAt: b.CreatedAt.UTC(),
	}
}

func textView(t issuance.Text) Text { return Text{Zh: t.ZH, En: t.EN} }

// rowTexts are the states of a batch's rows in words (批次明细状态).
var rowTexts = map[string]issuance.Text{
	production.ItemOrdered: {ZH: "待开户", EN: "ordered"}, production.ItemAccounted: {ZH: "已开户", EN: "has an account"},
	production.ItemNoAccount: {ZH: "未开户，已退出", EN: "no account: left"}, production.ItemCancelled: {ZH: "已退出", EN: "left"},
	production.ItemMaking: {ZH: "制卡中", EN: "with the maker"}, production.ItemMade: {ZH: "制成，待质检", EN: "made"},
	production.ItemInspected: {ZH: "质检合格", EN: "inspected"}, production.ItemKeyError: {ZH: "密钥错误，待销毁", EN: "wrong keys: to be destroyed"},
	production.ItemFailed: {ZH: "废卡，待销毁", EN: "spoiled: to be destroyed"}, production.ItemScrapped: {ZH: "已销毁", EN: "destroyed"},
}

// batchActions are what is on record of a batch beside the events of its table.
var batchActions = map[string]issuance.Text{
	"opened": {ZH: "开始组批", EN: "opened"}, "filled": {ZH: "编入申领", EN: "filled"}, "bound": {ZH: "分配芯片", EN: "chips were bound"},
	"file.production": {ZH: "生成制卡文件", EN: "the production file was made"}, "file.return": {ZH: "收到回盘文件", EN: "a return was taken"},
	"file.outcome": {ZH: "生成回盘结果", EN: "the outcome was made"}, "inspected": {ZH: "质检一张", EN: "a card was inspected"},
	"scrap.first": {ZH: "销毁：第一人签", EN: "destruction: signed by the first"}, "scrapped": {ZH: "销毁：第二人签", EN: "destruction: signed by the second"},
}

// batchEvent puts a record of a batch into words; how the work was shared out is
// left out.
func batchEvent(r registry.AuditRecord) (BatchEvent, bool) {
	event := BatchEvent{At: r.At.UTC(), Operator: r.Actor.Operator, Workstation: optional(r.Actor.Workstation)}
	if len(r.Detail) > 0 {
		event.Detail = &r.Detail
	}
	action := strings.TrimPrefix(r.Action, "batch.")
	rule, ok := production.Batches.Rule(r.Detail["from"], action)
	switch text, known := batchActions[action]; {
	case ok:
		event.Text = textView(issuance.Text{
			ZH: rule.Text.ZH + "：" + production.Batches.State(rule.From).Text.ZH + " → " + production.Batches.State(rule.To).Text.ZH,
			EN: rule.Text.EN + ": " + production.Batches.State(rule.From).Text.EN + " to " + production.Batches.State(rule.To).Text.EN,
		})
	case known:
		event.Text = textView(text)
	default:
		return BatchEvent{}, false
	}
	return event, true
}
