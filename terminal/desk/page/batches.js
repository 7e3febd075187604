// Batches of cards made by a maker (制卡批次): how each stands and what it waits for,
// making one, what became of each card, destroying what was spoiled, closing. The
// files themselves go by the commands of the province's centre.
import { $, beijing, call, done, el, guard, may, operator, options, part, press, row } from './base.js';

const fileKinds = { production: '制卡文件', return: '回盘', outcome: '回盘结果' };
const methods = { shredded: '粉碎', punched: '打孔', melted: '熔毁' };

let shown = null; // the batch on the screen
let only = ''; // the state of the rows that are shown

async function refresh() {
  const state = $('batches-form').state.value;
  $('new-batch').hidden = !may('createBatch');
  const { batches } = await call('GET', `/platform/v1/batches${state ? `?state=${state}` : ''}`);
  $('batches').replaceChildren(...batches.map((b) => {
    const line = el('li');
    line.dataset.batch = b.number;
    line.setAttribute('aria-current', String(b.number === shown?.batch.number));
    const made = b.made === undefined ? '' : `制成 ${b.made}，销毁 ${b.scrapped}，退出 ${b.unmade}　`;
    line.append(el('span', `${b.number}　${b.stateText.zh}`, 'grow'), el('span', `${b.size} 人`), press('打开 open', () => open(b.number)), el('small', `${made}${b.supplier}　${b.place}　${b.kind === 'test' ? '测试　' : ''}${b.orderedBy}　${beijing(b.createdAt)}`));
    return line;
  }));
  if (batches.length === 0) $('batches').append(el('li', '没有批次 no batches'));
}
$('batches-form').addEventListener('submit', guard(refresh));
$('batches-form').addEventListener('change', guard(refresh));

async function open(number) {
  if (number !== shown?.batch.number) only = '';
  shown = await call('GET', `/platform/v1/batches/${encodeURIComponent(number)}`);
  const b = shown.batch;
  $('batch').hidden = false;
  $('batch-number').textContent = b.number;
  $('batch-state').textContent = `${b.stateText.zh}　${b.size} 人`;
  const facts = [['卡商', b.supplier], ['开户银行', b.bank || '不开户'], ['地区', b.place], ['上限', b.most], ['组批人', b.orderedBy], ['组批时间', beijing(b.createdAt)],
    ['结批', b.made === undefined ? '' : `制成 ${b.made}，销毁 ${b.scrapped}，退出 ${b.unmade}`]].filter(([, value]) => value);
  $('batch-facts').replaceChildren(...facts.flatMap(([name, value]) => [el('dt', name), el('dd', String(value))]));
  $('batch-lacks').replaceChildren(...shown.lacks.map((lack) => {
    const line = el('li');
    line.append(el('strong', lack.text.zh + (lack.count ? `　${lack.count} 张` : ''), 'warn'), el('span', lack.remedy?.zh || '', 'grow'));
    line.title = lack.text.en;
    return line;
  }));
  if (shown.lacks.length === 0) $('batch-lacks').append(el('li', '没有欠缺 nothing'));
  $('batch-close').hidden = !shown.closable;
  $('batch-go-on').hidden = b.state !== 'open' || !may('createBatch');
  showCounts();
  $('batch-files').replaceChildren(...shown.files.map((f) => row(fileKinds[f.kind], `${f.name}　${f.records} 条${f.kind === 'return' ? `，采纳 ${f.accepted}，重复 ${f.repeated}，拒绝 ${f.refused}` : ''}`, `${beijing(f.at)} ${f.operator}`)));
  $('batch-story').replaceChildren(...shown.story.map((e) => row(beijing(e.at, true), e.text.zh, e.operator)));
  await rows(0);
  await refresh();
}

// showCounts shows how many rows are in which state; each is a filter.
function showCounts() {
  const choose = (state, text) => {
    const button = press(text, async () => { only = state; showCounts(); await rows(0); });
    button.dataset.state = state;
    button.setAttribute('aria-pressed', String(only === state));
    return button;
  };
  $('batch-counts').replaceChildren(choose('', `全部 ${shown.batch.size}`), ...shown.rows.map((r) => choose(r.state, `${r.text.zh} ${r.count}`)));
}

const page = 100;

async function rows(after) {
  const query = new URLSearchParams({ after, limit: page });
  if (only) query.set('state', only);
  const found = (await call('GET', `/platform/v1/batches/${encodeURIComponent(shown.batch.number)}/rows?${query}`)).rows;
  const table = $('batch-rows');
  if (!after) table.replaceChildren();
  table.append(...found.map((r) => {
    const d = r.destruction;
    const signed = d ? `${methods[d.method]}：${d.firstBy}${d.secondBy ? '、' + d.secondBy : ' 已签，待第二人'}` : '';
    let mark = String(r.seq);
    if (r.signable && may('scrapCards')) {
      mark = el('label', `${r.seq} `, 'check');
      const box = Object.assign(el('input'), { type: 'checkbox', name: 'scrap', value: r.cardNumber });
      box.setAttribute('aria-label', r.cardNumber);
      if (d) box.dataset.second = 'yes';
      mark.prepend(box);
    }
    const line = row(mark, r.cardNumber, r.text.zh, [r.reason, signed].filter(Boolean).join('　'));
    line.dataset.card = r.cardNumber;
    return line;
  }));
  if (table.children.length === 0) table.append(row('没有 none'));
  $('batch-more').hidden = found.length < page;
  $('batch-more').onclick = guard(() => rows(found[found.length - 1].seq));
  ticked();
}

// ticked offers to sign as soon as there is something to sign; the first person
// says how and why.
function ticked() {
  const boxes = [...document.querySelectorAll('#batch-rows input[name=scrap]')];
  const chosen = boxes.filter((box) => box.checked);
  const form = $('scrap-form');
  form.hidden = boxes.length === 0;
  const second = chosen.length > 0 && chosen.every((box) => box.dataset.second);
  form.querySelector('.grid').hidden = second;
  form.reason.required = !second;
  form.querySelector('button').disabled = chosen.length === 0;
  return chosen.map((box) => box.value);
}
$('batch-rows').addEventListener('change', ticked);

$('scrap-form').addEventListener('submit', guard(async () => {
  const form = $('scrap-form');
  const cards = ticked();
  const body = form.querySelector('.grid').hidden ? { cards } : { cards, method: form.method.value, reason: form.reason.value };
  const after = await call('POST', `/platform/v1/batches/${encodeURIComponent(shown.batch.number)}/scraps`, body);
  form.reset();
  await open(shown.batch.number);
  done([after.signed ? `${after.signed} 张已签，待第二人 wait for the second person` : '', after.destroyed ? `${after.destroyed} 张已销毁 destroyed` : ''].filter(Boolean).join('；'));
}));

$('batch-close').addEventListener('click', guard(async () => {
  if (!confirm(`结批 ${shown.batch.number}？结批后不能再改。\nClose it? Nothing undoes it.`)) return;
  const b = await call('POST', `/platform/v1/batches/${encodeURIComponent(shown.batch.number)}/closing`);
  await open(b.number);
  done(`${b.number} 已结批：制成 ${b.made}，销毁 ${b.scrapped}，退出 ${b.unmade}`);
}));

// ---- making a batch

let suppliers = [];

async function outlook() {
  const form = $('batch-form');
  const o = await call('GET', `/platform/v1/batch-outlook?place=${encodeURIComponent(form.place.value)}`);
  suppliers = o.suppliers;
  $('batch-waiting').textContent = o.waiting > o.most ? `${o.most}+` : o.waiting;
  options(form.supplier, suppliers.map((s) => [s.id, `${s.id}　${s.product}`]));
  options(form.bank, [['', '不开户 none'], ...o.banks.map((b) => [b.code, `${b.name} ${b.code}`])]);
  if (!form.most.value && o.waiting > 0) form.most.value = Math.min(o.waiting, o.most);
  showSupplier();
}

function showSupplier() {
  const s = suppliers.find((one) => one.id === $('batch-form').supplier.value);
  $('batch-supplier').textContent = s ? `批准文号 ${s.approval}，规范 ${s.specVersion}，至 ${s.validTo}；数量余额 ${s.left}，可用芯片 ${s.chips}` : '没有获批卡商，请先登记：onecard batch supplier　no approved supplier';
}

$('new-batch').addEventListener('click', guard(async () => {
  const form = $('batch-form');
  form.reset();
  form.place.value = operator.place;
  form.hidden = false;
  await outlook();
  form.supplier.focus();
}));
$('batch-form').place.addEventListener('change', guard(outlook));
$('batch-form').supplier.addEventListener('change', showSupplier);

async function create(order) {
  const b = await call('POST', '/platform/v1/batches', order);
  await open(b.number);
  done(`${b.number}　${b.stateText.zh}　${b.size} 人`);
}

$('batch-form').addEventListener('submit', guard(async () => {
  const form = $('batch-form');
  const order = { place: form.place.value, supplier: form.supplier.value, kind: form.kind.value, most: Number(form.most.value) };
  if (form.bank.value) order.bank = form.bank.value;
  await create(order);
  form.hidden = true;
}));

// A batch whose filling was interrupted goes on with what it was ordered as.
$('batch-go-on').addEventListener('click', guard(() => {
  const { number, kind, supplier, bank, cardType, place, most } = shown.batch;
  return create({ number, kind, supplier, bank, cardType, place, most });
}));

part('batches', 'batches', refresh, () => {
  shown = null; only = '';
  for (const id of ['batches', 'batch-facts', 'batch-lacks', 'batch-counts', 'batch-rows', 'batch-files', 'batch-story']) $(id).replaceChildren();
  for (const id of ['batch', 'batch-form', 'scrap-form']) $(id).hidden = true;
});
