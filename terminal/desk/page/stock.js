// Stock and custody (库存与保管): what the office holds, what arrives, what counters
// have, what is missing, and the balance of the day.
import { $, beijing, call, done, el, guard, may, operator, options, part, press, row, witness, words } from './base.js';

const kinds = { blank: '空白卡', card: '成品卡' };
const findings = { missing: '缺失', extra: '多出', damaged: '损坏', seal: '封签破损', difference: '日结差额' };
const bins = { good: '完好', waste: '作废' };
const forms = ['accept-form', 'open-form', 'lend-form', 'report-form', 'destroy-form', 'day-form', 'incident-form'];

let view = null; // the stock as last shown
let chosen = null; // the consignment, box or incident that the open form is about

for (const place of document.querySelectorAll('[data-witness]')) place.append($('witness').content.cloneNode(true));

async function refresh() {
  view = await call('GET', `/platform/v1/stock?place=${encodeURIComponent(operator.institution)}`);
  $('stock-name').textContent = `库存　${view.name}`;
  for (const button of document.querySelectorAll('#part-stock [data-may]')) button.hidden = !may(button.dataset.may);
  showHeld(); showArriving(); showBoxes(); showLeases(); showIncidents(); showDays();
  const people = view.people.map((p) => [p.login, `${p.name}（${p.login}）`]);
  const others = people.filter(([login]) => login !== operator.login);
  for (const form of forms.map($)) {
    if (form.elements['witness.login']) options(form.elements['witness.login'], others);
    if (form.elements.owner) options(form.elements.owner, [['', '经办人本人'], ...others]);
  }
  options($('lend-form').workstation, view.counters.map((id) => [id, id]));
  options($('lend-form').holder, others);
  if ($('holdings').children.length > 0) await holdings('');
}

const none = (list, text) => { if (list.children.length === 0) list.append(el('li', text)); };

function showHeld() {
  const head = el('tr');
  head.append(el('th', '类别'), el('th', '状态'), el('th', '张数'));
  $('stock-held').replaceChildren(head, ...view.held.map((h) => row(kinds[h.kind], h.stateText.zh, String(h.cards))));
  if (view.held.length === 0) $('stock-held').replaceChildren(row('本处没有库存 nothing is kept here'));
}

function item(list, text, ...buttons) {
  const made = el('li');
  made.append(el('span', text, 'grow'), ...buttons.filter(Boolean));
  list.append(made);
  return made;
}

function showArriving() {
  const list = $('stock-arriving');
  list.replaceChildren();
  for (const c of view.arriving) {
    item(list, `自 ${c.from}　${beijing(c.sentAt)}　${c.sentBy} 发出`, may('acceptConsignment') && c.sentBy !== operator.login ? press('签收 accept…', () => openAccept(c), 'primary') : null);
  }
  for (const c of view.leaving) item(list, `发往 ${c.to}　${beijing(c.sentAt)}　对方尚未签收 on its way`);
  none(list, '没有待签收的发运 nothing is on its way here');
}

function showBoxes() {
  const list = $('stock-boxes');
  list.replaceChildren();
  for (const b of view.boxes) {
    item(list, `${b.label}　${kinds[b.kind]}　${b.stateText.zh}${b.seal ? '　封签 ' + b.seal : ''}`, may('openBox') ? press('开箱 open…', () => {
      chosen = b;
      $('open-what').textContent = `${b.label}${b.seal ? '　封签 ' + b.seal : ''}`;
      show('open-form');
    }) : null);
  }
  none(list, '没有封签的箱 no sealed boxes');
}

function showLeases() {
  const list = $('stock-leases');
  list.replaceChildren();
  for (const l of view.leases) {
    const line = item(list, `${l.workstation}　${l.holder}　至 ${beijing(l.expiresAt)}`, l.expired ? el('strong', '已到期 expired', 'bad') : null, may('returnLease') ? press('交回 take back', async () => {
      const back = await call('POST', `/platform/v1/stock/leases/${l.id}/return`);
      await refresh();
      done(`已交回 ${back.cards.length} 张 taken back`);
    }) : null);
    line.dataset.lease = l.id;
  }
  none(list, '没有在柜台的空白卡 counters have none');
}

function showIncidents() {
  const list = $('stock-incidents');
  list.replaceChildren();
  for (const i of view.incidents) {
    const text = `${findings[i.finding] || i.finding}　${[kinds[i.kind], i.card].filter(Boolean).join(' ')}　${i.note}　责任人 ${i.owner}`;
    item(list, text, may('closeIncident') && i.owner !== operator.login ? press('办结 close…', () => {
      chosen = i;
      $('incident-what').textContent = text;
      show('incident-form');
    }) : null);
  }
  none(list, '没有未办结的异常 no open incidents');
}

function showDays() {
  const table = $('stock-days');
  table.replaceChildren();
  $('stock-day').textContent = view.days[0]?.day || '尚未日结 none yet';
  if (view.days.length === 0) return;
  const lines = [['', 'kind'], ['上日', 'opening'], ['＋收', 'received'], ['－发', 'sent'], ['－用', 'used'], ['－废', 'spoiled'], ['－缺', 'missing'], ['－毁', 'destroyed'], ['结存', 'closing'], ['实点', 'counted'], ['差', 'difference']];
  for (const [text, name] of lines) {
    const line = el('tr');
    line.append(el(name === 'kind' ? 'th' : 'td', text));
    for (const d of view.days) {
      if (name === 'kind') line.append(el('th', `${kinds[d.kind]} ${bins[d.bin]}`));
      else line.append(el('td', String(d[name]), name === 'difference' ? (d.difference === 0 ? 'good' : 'bad') : ''));
    }
    table.append(line);
  }
}

// show opens one form and closes the others.
function show(id) {
  for (const form of forms.map($)) form.hidden = form.id !== id;
  $(id).scrollIntoView({ block: 'nearest' });
  $(id).querySelector('input:not([type=checkbox]), select, textarea').focus();
}

for (const button of document.querySelectorAll('#part-stock [data-form]')) button.addEventListener('click', guard(() => {
  if (button.dataset.form === 'day-form') $('day-form').day.value = new Date(Date.now() + 8 * 3600e3).toISOString().slice(0, 10);
  show(button.dataset.form);
}));

// ends lets a form do its work once, and shows the stock after it.
function ends(id, work) {
  const form = $(id);
  form.addEventListener('submit', guard(async () => {
    const text = await work(form);
    form.reset(); form.hidden = true; chosen = null;
    await refresh();
    done(text);
  }));
}

// ---- accepting a consignment

async function openAccept(consignment) {
  const { boxes } = await call('GET', `/platform/v1/stock/consignments/${consignment.id}`);
  chosen = consignment;
  const cards = boxes.reduce((sum, b) => sum + b.cards.length, 0);
  $('accept-form').reset();
  $('accept-what').textContent = `自 ${consignment.from}　${boxes.length} 箱　${cards} 张`;
  $('accept-boxes').replaceChildren(...boxes.map(boxToAccept));
  differs();
  show('accept-form');
}

const tick = (name, value, text) => {
  const label = el('label', undefined, 'check');
  label.append(Object.assign(el('input'), { type: 'checkbox', name, value }), text);
  return label;
};

// boxToAccept is a box with its cards; they are listed when it is unfolded.
function boxToAccept(box) {
  const details = el('details');
  details.dataset.box = box.label;
  details.append(el('summary', `${box.label}　${box.cards.length} 张${box.seal ? '　封签 ' + box.seal : ''}`));
  const whole = el('div', undefined, 'row');
  whole.append(tick('missingBoxes', box.label, '整箱未到 box missing'), tick('brokenSeals', box.label, '封签破损 broken seal'));
  const table = el('table');
  details.append(whole, table);
  details.addEventListener('toggle', () => {
    if (table.children.length === 0) table.replaceChildren(...box.cards.map((card) => row(card, tick('missing', card, '缺'), tick('damaged', card, '损坏'))));
  });
  return details;
}

const found = (form) => {
  const ticked = (name) => [...form.querySelectorAll(`input[name="${name}"]:checked`)].map((input) => input.value);
  return { missingBoxes: ticked('missingBoxes'), brokenSeals: ticked('brokenSeals'), missing: ticked('missing'), damaged: ticked('damaged'), extra: words(form.extra.value) };
};

// differs asks for the second person as soon as something is marked.
function differs() {
  const form = $('accept-form');
  const different = Object.values(found(form)).some((list) => list.length > 0);
  $('accept-differs').hidden = !different;
  $('accept-differs').disabled = !different;
  form.note.required = different;
}
$('accept-form').addEventListener('input', differs);

ends('accept-form', async (form) => {
  const body = found(form);
  const different = Object.values(body).some((list) => list.length > 0);
  if (different) Object.assign(body, { note: form.note.value, owner: form.owner.value || undefined, witness: witness(form) });
  const c = await call('POST', `/platform/v1/stock/consignments/${chosen.id}/acceptance`, body);
  return c.stateText.zh;
});

// ---- boxes, leases, reports, destruction, the day, incidents

ends('open-form', async (form) => `${(await call('POST', '/platform/v1/stock/openings', { label: chosen.label, witness: witness(form) })).label} 已开箱 opened`);

ends('lend-form', async (form) => {
  const body = { workstation: form.workstation.value, holder: form.holder.value, days: Number(form.days.value) };
  const cards = words(form.cards.value);
  if (cards.length > 0) body.cards = cards; else Object.assign(body, { from: form.from.value.trim(), to: form.to.value.trim() });
  const lease = await call('POST', '/platform/v1/stock/leases', body);
  return `${lease.holder} 领用 ${lease.cards.length} 张 lent`;
});

ends('report-form', async (form) => {
  const cards = words(form.cards.value);
  await call('POST', '/platform/v1/stock/reports', { event: form.event.value, kind: form.kind.value, cards, reason: form.reason.value, owner: form.owner.value || undefined, witness: witness(form) });
  return `已登记 ${cards.length} 张 recorded`;
});

ends('destroy-form', async (form) => {
  const record = await call('POST', '/platform/v1/stock/destructions', { kind: form.kind.value, cards: words(form.cards.value), method: form.method.value, witness: witness(form) });
  return `已销毁 ${record.cards} 张，${record.firstBy}、${record.secondBy} 签字 destroyed`;
});

ends('day-form', async (form) => {
  const number = (name) => Number(form.elements[name].value);
  const days = await call('POST', '/platform/v1/stock/days', {
    day: form.day.value, blank: { good: number('blankGood'), waste: number('blankWaste') }, card: { good: number('cardGood'), waste: number('cardWaste') },
    note: form.note.value, owner: form.owner.value || undefined, witness: witness(form),
  });
  const wrong = days.filter((d) => d.difference !== 0);
  return `${days[0].day} 已日结，${wrong.length === 0 ? '账实相符 it agrees' : `${wrong.length} 处差异已立案 differences became incidents`}`;
});

ends('incident-form', async (form) => {
  await call('POST', `/platform/v1/stock/incidents/${chosen.id}/closing`, { outcome: form.outcome.value });
  return '异常已办结 closed';
});

// ---- card by card

const page = 100;

async function holdings(after) {
  const form = $('holdings-form');
  const query = new URLSearchParams({ place: operator.institution, kind: form.kind.value, limit: page });
  if (form.state.value) query.set('state', form.state.value);
  if (after) query.set('after', after);
  const { cards } = await call('GET', `/platform/v1/stock/holdings?${query}`);
  const table = $('holdings');
  if (!after) table.replaceChildren();
  table.append(...cards.map((c) => row(c.card, c.stateText.zh, c.box ? `箱 ${c.box}` : c.lease ? view.leases.find((l) => l.id === c.lease)?.workstation : '')));
  if (table.children.length === 0) table.append(row('没有 none'));
  $('holdings-more').hidden = cards.length < page;
  $('holdings-more').onclick = guard(() => holdings(cards[cards.length - 1].card));
}
$('holdings-form').addEventListener('submit', guard(() => holdings('')));

$('story-form').addEventListener('submit', guard(async () => {
  const story = await call('GET', `/platform/v1/stock/cards?card=${encodeURIComponent($('story-form').card.value.trim())}`);
  $('stock-story').replaceChildren(...story.movements.map((m) => row(beijing(m.at), m.text.zh, [m.from === m.to ? m.to : `${m.from} → ${m.to}`, m.operator, m.reason].filter(Boolean).join('　'))));
  if (story.cardNumber) $('stock-story').append(row('', '制成的卡', story.cardNumber));
}));

$('stock-refresh').addEventListener('click', guard(refresh));

part('stock', 'stockView', refresh, () => {
  view = chosen = null;
  for (const id of ['stock-name', 'stock-held', 'stock-arriving', 'stock-boxes', 'stock-leases', 'stock-incidents', 'stock-days', 'holdings', 'stock-story', 'accept-boxes']) $(id).replaceChildren();
  for (const form of forms) $(form).hidden = true;
});
