// Lists of employers, schools and villages (集体申领): brought as Excel or CSV, taken
// row by row, each with its outcome; what was refused is fetched, corrected and
// brought again.
import { $, beijing, call, dataURL, done, el, guard, may, options, part, press, Problem, row } from './base.js';

const kinds = { employer: '单位', school: '学校', community: '村社', bank: '银行' };
const outcomes = { applied: ['已申请', 'good'], draft: ['草稿，待补', 'warn'], refused: ['未受理', 'bad'] };

let brought = null; // the file of the list on the screen, while it is known
let shown = null; // the order on the screen
let stopped = false;
let names = {}; // of institutions, by id

async function refresh() {
  $('list-form').hidden = !may('takeList');
  const { institutions } = await call('GET', '/platform/v1/collective-institutions');
  options($('list-form').institution, institutions.map((i) => [i.id, `${i.name}（${kinds[i.kind]}）`]));
  names = Object.fromEntries(institutions.map((i) => [i.id, i.name]));
  const { orders } = await call('GET', '/platform/v1/collective-orders');
  $('lists').replaceChildren(...orders.map((o) => {
    const line = el('li');
    line.dataset.order = o.id;
    line.append(el('span', `${names[o.institution] || o.institution}　${beijing(o.enteredAt)}　${o.enteredBy}`, 'grow'), el('span', counts(o)), press('打开 open', async () => { brought = null; await open(o.id); }));
    return line;
  }));
  if (orders.length === 0) $('lists').append(el('li', '没有名册 no lists yet'));
}

const counts = (o) => `${o.state === 'open' ? '未完　' : ''}已申请 ${o.applied}，草稿 ${o.draft}，未受理 ${o.refused}`;

// read gives what a file holds, in Base64.
async function read(file) {
  const url = await dataURL(file);
  const content = url.slice(url.indexOf(',') + 1);
  if (!content) throw new Problem({ title: '文件是空的', titleEn: 'the file is empty' });
  return content;
}

$('list-form').addEventListener('submit', guard(async () => {
  const form = $('list-form');
  const list = { institution: form.institution.value, kind: form.kind.value, method: form.method.value, content: await read(form.content.files[0]) };
  if (form.sheet.value) list.sheet = form.sheet.value;
  stopped = false;
  $('list-progress').hidden = false;
  $('list-progress-label').textContent = '已送出，正在受理 …';
  try {
    let order;
    // Each request takes some rows; the same list again goes on.
    do {
      order = await call('POST', '/platform/v1/collective-orders', list);
      $('list-progress-label').textContent = `已处理 ${order.applied + order.draft + order.refused} 行：${counts(order)}`;
    } while (order.state === 'open' && !stopped);
    brought = { id: order.id, content: list.content, sheet: list.sheet };
    await open(order.id);
    await refresh();
    done(order.state === 'open' ? '已停止，再次提交同一文件即继续 stopped; the same file goes on' : `受理完毕：${counts(order)}`);
  } finally {
    $('list-progress').hidden = true;
  }
}));
$('list-stop').addEventListener('click', () => { stopped = true; });

const page = 200;

async function open(id) {
  const { order } = await call('GET', `/platform/v1/collective-orders/${id}?limit=1`);
  shown = order;
  $('list').hidden = false;
  $('list-verdict').textContent = counts(order);
  $('list-verdict').className = `big ${order.refused + order.draft > 0 ? 'warn' : 'good'}`;
  $('list-facts').replaceChildren(...[['申领单位', names[order.institution] || order.institution], ['经办', `${order.enteredBy}　${beijing(order.enteredAt)}`]].flatMap(([name, value]) => [el('dt', name), el('dd', value)]));
  $('list-result').href = `/platform/v1/collective-orders/${id}/result`;
  $('list-result').download = `逐行结果-${id.slice(0, 8)}.csv`;
  $('list-handout').href = `/platform/v1/collective-orders/${id}/handout`;
  $('list-handout').download = `领卡清单-${id.slice(0, 8)}.csv`;
  $('list-refused').hidden = order.refused === 0;
  await rows(0);
}

// rows shows a page of rows; those that were not taken, all of them.
async function rows(after) {
  const only = $('list-only').checked;
  const limit = only ? 1000 : page;
  const found = (await call('GET', `/platform/v1/collective-orders/${shown.id}?afterRow=${after}&limit=${limit}`)).rows;
  const table = $('list-rows');
  if (!after) table.replaceChildren();
  table.append(...found.filter((r) => !only || r.outcome !== 'applied').map((r) => {
    const [text, className] = outcomes[r.outcome] || [r.outcome, ''];
    const line = row(`第 ${r.row} 行`, el('strong', text, className), r.text?.zh || '');
    line.title = r.text?.en || '';
    line.dataset.row = r.row;
    return line;
  }));
  const more = found.length === limit;
  if (only && more) { await rows(found[found.length - 1].row); return; }
  if (table.children.length === 0 && !more) table.append(row('没有 none'));
  $('list-more').hidden = !more;
  $('list-more').onclick = guard(() => rows(found[found.length - 1].row));
}
$('list-only').addEventListener('change', guard(() => rows(0)));

// The platform keeps no list: the rows that were refused come out of the file,
// which is asked for again when it is not at hand any more.
$('list-refused').addEventListener('click', guard(async () => {
  const file = $('list-form').content.files[0];
  if (brought?.id !== shown.id) {
    if (!file) throw new Problem({ title: '请先在左侧选择同一名册文件', detail: '平台不保存名册；选择原文件后再取未受理名单。', titleEn: 'Choose the same file on the left first: the platform keeps no lists.' });
    brought = { id: shown.id, content: await read(file), sheet: $('list-form').sheet.value || undefined };
  }
  const answer = await fetch(`/platform/v1/collective-orders/${shown.id}/refused`, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ content: brought.content, sheet: brought.sheet }),
  });
  if (!answer.ok) { brought = null; throw new Problem(await answer.json().catch(() => ({ title: '应答无法识别', titleEn: 'unreadable answer' }))); }
  const address = URL.createObjectURL(await answer.blob());
  Object.assign(el('a'), { href: address, download: `未受理名单-${shown.id.slice(0, 8)}.xlsx` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
  done('未受理名单已保存，更正后可再次提交 saved; correct it and bring it again');
}));

part('lists', 'collectiveOrders', refresh, () => {
  brought = shown = null; stopped = true;
  for (const id of ['lists', 'list-rows', 'list-facts', 'list-verdict']) $(id).replaceChildren();
  for (const id of ['list', 'list-progress']) $(id).hidden = true;
});
