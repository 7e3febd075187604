// The counter's page: small, without a framework, everything by the loopback
// interface of the counter program. Texts come Chinese first from the platform.
const $ = (id) => document.getElementById(id);
const el = (tag, text, className) => {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
};

let operator = null; // who is signed in
let shown = null; // the person file on the screen
let busy = false; // with the chip
let live = { card: { kind: 'none' } }; // reader and platform as last told

// ---- talking to the counter program

class Problem extends Error {
  constructor(body) { super(body.title); this.body = body; }
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (method !== 'GET') headers['Idempotency-Key'] = crypto.randomUUID();
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Problem({ title: '柜台程序没有应答', detail: '请检查柜台程序是否仍在运行，然后重试。', titleEn: 'The counter program does not answer; check that it runs and try again.' });
  }
  if (answer.status === 204) return null;
  const value = await answer.json().catch(() => ({ title: '应答无法识别', titleEn: 'unreadable answer' }));
  if (!answer.ok) {
    if (answer.status === 401 && operator) signedOut();
    throw new Problem(value);
  }
  return value;
}

// labelOf returns the Chinese words before a field.
const labelOf = (input) => input?.closest('label')?.firstChild.textContent.trim().split(' ')[0];

function showProblem(error) {
  const body = error instanceof Problem ? error.body : { title: '页面出错', titleEn: String(error.message || error) };
  const box = $('problem');
  box.querySelector('strong').textContent = body.title || '出错';
  const inputs = (body.fields || []).map((f) => document.querySelector(`form:not([hidden]) [name="${CSS.escape(f.field)}"]`));
  const fields = (body.fields || []).map((f, i) => `${labelOf(inputs[i]) || f.field}：${f.zh}`).join('；');
  const english = (body.fields || []).map((f) => `${f.field}: ${f.en}`).join('; ');
  inputs.find(Boolean)?.focus();
  box.querySelector('.remedy').textContent = [body.detail, fields].filter(Boolean).join(' ');
  box.querySelector('.en').textContent = [body.titleEn, body.detailEn, english].filter(Boolean).join(' ');
  box.hidden = false;
}

const clearProblem = () => { $('problem').hidden = true; };

// guard runs an action of the person at the desk and shows what went wrong.
const guard = (action) => async (event) => {
  event?.preventDefault?.();
  clearProblem();
  // A second press while the first is under way does nothing.
  const button = event?.submitter ?? (event?.currentTarget instanceof HTMLButtonElement ? event.currentTarget : null);
  if (button?.dataset.running) return undefined;
  if (button) button.dataset.running = 'yes';
  try { return await action(event); } catch (error) { showProblem(error); } finally { delete button?.dataset.running; }
};

// ---- sign-in

// signedOut leaves nothing of a holder on the screen or behind it.
function signedOut() {
  operator = null; shown = null;
  for (const form of document.forms) form.reset();
  for (const id of ['hits', 'person-facts', 'applications', 'cards', 'queue', 'result-fields', 'person-name', 'result-verdict']) $(id).replaceChildren();
  for (const id of ['person', 'person-form', 'pin', 'result']) $(id).hidden = true;
  $('signed-in').hidden = true; $('signed-out').hidden = false; $('sign-out').hidden = true;
  $('operator').textContent = '';
  $('sign-in').login.focus();
}

function signedIn(who) {
  operator = who;
  $('signed-out').hidden = true; $('signed-in').hidden = false; $('sign-out').hidden = false;
  $('operator').textContent = `${who.name}（${who.login}）`;
  $('workstation').textContent = who.workstation;
  const businesses = { hospital: [['outpatient.settle', '门诊结算 outpatient']], pharmacy: [['pharmacy.purchase', '药店购药 pharmacy']] };
  const mine = businesses[document.body.dataset.kind] || [];
  $('visit').hidden = mine.length === 0 || !who.roles.includes('cashier');
  $('visit').business.replaceChildren(...mine.map(([value, text]) => Object.assign(el('option', text), { value })));
  // Whoever only settles visits has no business with files and applications.
  const office = who.roles.some((role) => role !== 'cashier');
  $('left').hidden = !office;
  if (office) { $('query').focus(); refreshQueue(); }
}

$('sign-in').addEventListener('submit', guard(async () => {
  const form = $('sign-in');
  const who = await call('POST', '/api/sign-in', { login: form.login.value, password: form.password.value });
  form.reset();
  signedIn(who);
}));
$('sign-out').addEventListener('click', guard(async () => { await call('POST', '/api/sign-out'); signedOut(); }));

// ---- people

$('search').addEventListener('submit', guard(async () => {
  const query = $('query').value.trim();
  const by = /^[0-9]{17}[0-9Xx]$/.test(query) ? 'idNumber' : /^[0-9A-Z]{9}$/.test(query) ? 'cardNumber' : 'name';
  const { persons } = await call('GET', `/platform/v1/persons?${by}=${encodeURIComponent(query)}`);
  $('hits').replaceChildren(...persons.map((person) => {
    const item = el('li');
    item.append(el('span', `${person.name}　${person.idNumberMasked}　${person.placeName || person.place}`, 'grow'));
    const open = el('button', '打开 open');
    open.type = 'button';
    open.addEventListener('click', guard(() => openPerson(person.id)));
    item.append(open);
    return item;
  }));
  if (persons.length === 0) $('hits').append(el('li', '没有找到，可以登记 nobody found; you may enter the resident'));
  if (persons.length === 1) await openPerson(persons[0].id);
}));

async function openPerson(id) {
  shown = await call('GET', `/platform/v1/persons/${id}`);
  const { person } = shown;
  $('person').hidden = false; $('person-form').hidden = true;
  $('person-name').textContent = person.name;
  const facts = [
    ['社会保障号码', person.idNumberMasked], ['性别', person.sex === '1' ? '男' : '女'], ['民族', person.ethnicName || person.ethnic],
    ['出生日期', person.birth], ['所在地', person.placeName || person.place], ['电话', person.phoneMasked],
  ].filter(([, value]) => value);
  $('person-facts').replaceChildren(...facts.flatMap(([name, value]) => [el('dt', name), el('dd', value)]));
  if (person.nameTibetan) {
    const tibetan = el('dd', person.nameTibetan); tibetan.lang = 'bo';
    $('person-facts').append(el('dt', '藏文姓名'), tibetan);
  }
  $('apply').hidden = !shown.canApply;
  $('applications').replaceChildren(...shown.applications.map(applicationItem));
  $('cards').replaceChildren(...shown.cards.map(cardItem));
}

$('new-person').addEventListener('click', guard(async () => {
  const form = $('person-form');
  if (form.ethnic.options.length === 0) {
    const lists = await call('GET', '/api/codes');
    const options = (list, withCode) => list.map(({ code, name }) => Object.assign(el('option', withCode ? `${name} ${code}` : name), { value: code }));
    form.ethnic.replaceChildren(...options(lists.ethnic));
    form.place.replaceChildren(...options(lists.places, true));
  }
  form.place.value = operator.place;
  form.hidden = false; $('person').hidden = true;
  form.idNumber.focus();
}));
$('person-form').addEventListener('submit', guard(async () => {
  const form = $('person-form');
  const body = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ''));
  const person = await call('POST', '/platform/v1/persons', body);
  form.reset(); form.hidden = true;
  await openPerson(person.id);
}));

$('apply').addEventListener('click', guard(async () => {
  await call('POST', '/platform/v1/applications', { personId: shown.person.id, kind: 'first' });
  await refresh();
}));

async function refresh() {
  if (shown) await openPerson(shown.person.id);
  await refreshQueue();
}

// ---- the workflow: buttons are the events that the platform allows

function eventButton(allowed, fire) {
  const button = el('button', `${allowed.text.zh} ${allowed.text.en}`);
  button.type = 'button';
  button.dataset.event = allowed.event;
  if (allowed.chip) { button.dataset.chip = allowed.chip; button.disabled = $('read').disabled; button.title = '请先放入卡 needs the card in the reader'; }
  button.addEventListener('click', guard(async () => {
    let reason;
    if (allowed.needsReason) {
      reason = prompt(`${allowed.text.zh}：请填写原因 reason`);
      if (!reason) return;
    }
    await fire(reason);
    await refresh();
  }));
  return button;
}

function applicationItem(application) {
  const item = el('li');
  item.dataset.application = application.id;
  item.append(el('span', `${application.personName}　${application.stateText.zh}${application.cardNumber ? '　卡号 ' + application.cardNumber : ''}${application.reason ? '　' + application.reason : ''}`, 'grow'));
  for (const allowed of application.events) {
    item.append(eventButton(allowed, (reason) => allowed.chip
      ? chip({ operation: allowed.chip, applicationId: application.id }, allowed.text.zh)
      : call('POST', `/platform/v1/applications/${application.id}/events`, { event: allowed.event, reason })));
  }
  return item;
}

function cardItem(card) {
  const item = el('li');
  item.dataset.card = card.id;
  item.append(el('span', `${card.number}　`, ''), el('strong', card.statusText.zh, card.status === '1' ? 'good' : card.status === '0' ? 'warn' : 'bad'),
    el('span', `有效期至 ${card.expiresOn}`, 'grow'));
  for (const allowed of card.events) {
    item.append(eventButton(allowed, (reason) => allowed.chip
      ? chip({ operation: allowed.chip, cardId: card.id }, allowed.text.zh)
      : call('POST', `/platform/v1/cards/${card.id}/events`, { event: allowed.event, reason })));
  }
  return item;
}

async function refreshQueue() {
  const { applications } = await call('GET', '/platform/v1/applications?state=applied');
  $('queue').replaceChildren(...applications.map(applicationItem));
  if (applications.length === 0) $('queue').append(el('li', '没有待复核的申领 nothing is waiting'));
}
$('queue-refresh').addEventListener('click', guard(refreshQueue));

// ---- the chip

function askPIN(title, twice) {
  return new Promise((resolve, reject) => {
    const form = $('pin');
    const done = () => { form.reset(); form.hidden = true; form.onsubmit = null; };
    $('pin-title').textContent = title;
    $('pin-again-label').hidden = !twice;
    form.again.required = twice;
    form.hidden = false; form.pin.focus();
    form.onsubmit = (event) => {
      event.preventDefault();
      const pin = form.pin.value;
      if (twice && pin !== form.again.value) { showProblem(new Problem({ title: '两次输入的密码不一致', titleEn: 'the two entries differ' })); return; }
      done(); resolve(pin);
    };
    form.querySelector('[data-close]').onclick = () => { done(); reject(new Problem({ title: '已取消', titleEn: 'cancelled' })); };
  });
}

async function chip(job, title) {
  if (job.operation === 'activate') job.pin = await askPIN('请持卡人设置社保密码 choose a PIN', true);
  busy = true; showState(live);
  try {
    showResult(await call('POST', '/api/chip', job), title);
  } finally {
    busy = false; showState(live);
  }
}

$('read').addEventListener('click', guard(() => chip({ operation: 'read' }, '读卡 card')));
$('change-pin').addEventListener('click', guard(async () => {
  const old = await askPIN('请持卡人输入原社保密码 old PIN', false);
  const fresh = await askPIN('请持卡人设置新社保密码 new PIN', true);
  await call('POST', '/api/pin', { old, fresh });
  $('result').hidden = false;
  $('result-title').textContent = '改社保密码 PIN';
  $('result-verdict').textContent = '✔ 已修改 changed';
  $('result-verdict').className = 'big good';
  $('result-fields').replaceChildren();
}));
$('stop').addEventListener('click', guard(() => call('POST', '/api/stop')));

function showResult(result, title) {
  $('result').hidden = false;
  $('result-title').textContent = title;
  const verdict = $('result-verdict');
  verdict.textContent = `${result.genuine ? '✔ 芯片为真 genuine' : '✘ 芯片未通过认证 not genuine'}${result.statusText ? '　' + result.statusText.zh : ''}`;
  verdict.className = `big ${result.genuine && (result.status || '1') === '1' ? 'good' : result.genuine ? 'warn' : 'bad'}`;
  $('result-fields').replaceChildren(...result.fields.map((field) => {
    const row = el('tr');
    row.dataset.field = field.name;
    row.append(el('td', field.zh), el('td', [field.value || '（空）', field.meaning].filter(Boolean).join('　')));
    return row;
  }));
}

// ---- a visit at a hospital or a pharmacy

const yuan = (fen) => `${(fen / 100).toFixed(2)} 元`;

$('visit').addEventListener('submit', guard(async () => {
  const form = $('visit');
  const [whole, part = ''] = form.yuan.value.split('.');
  const fen = Number(whole) * 100 + Number((part + '00').slice(0, 2));
  const done = await call('POST', '/api/visits', {
    business: form.business.value, pin: form.pin.value,
    items: [{ code: 'manual', name: form.name.value, category: form.category.value, fen }],
  });
  form.reset();
  $('result').hidden = false;
  $('result-title').textContent = '结算 settlement';
  $('result-verdict').textContent = done.stateText.zh;
  $('result-verdict').className = `big ${done.state === 'confirmed' ? 'good' : 'bad'}`;
  $('result-fields').replaceChildren(...done.lines.map((line) => {
    const row = el('tr');
    row.append(el('td', line.text.zh), el('td', yuan(line.fen), 'money'));
    return row;
  }));
}));

// ---- live state

const cardTexts = {
  none: '无卡 no card', reading: '正在识别 …', blank: '空白卡 blank chip', personalised: '社会保障卡 social security card',
  unfinished: '制卡未完成的卡 unfinished card', foreign: '不是社会保障卡 not a social security card', blocked: '卡或应用已锁定 blocked', mute: '卡无应答 the chip does not answer',
};

function showState(state) {
  live = state;
  document.body.dataset.kind = state.kind;
  $('link').className = `lamp ${state.platform ? 'good' : 'bad'}`;
  $('link').textContent = state.platform ? '平台已连接 platform' : '平台未连接 no platform';
  const name = $('reader-name');
  name.textContent = state.service ? `${state.service.zh} ${state.service.en}` : state.reader || '没有读卡器 no reader';
  name.title = state.service?.remedyZh || '';
  name.className = !state.service && state.reader ? 'good' : 'bad';
  $('card-state').textContent = cardTexts[state.card.kind] || state.card.kind;
  $('card-state').dataset.kind = state.card.kind;
  $('card-detail').textContent = state.card.problem ? `${state.card.problem.zh} ${state.card.problem.remedyZh || ''}` : state.card.version ? `规范版本 ${state.card.version}` : '';
  const progress = $('progress');
  progress.hidden = !state.progress;
  if (state.progress) {
    progress.querySelector('progress').max = state.progress.total;
    progress.querySelector('progress').value = state.progress.done;
    $('progress-label').textContent = `${state.progress.label}（${state.progress.done}/${state.progress.total}）`;
  }
  $('read').disabled = busy || state.card.kind === 'none';
  $('change-pin').hidden = state.card.kind !== 'personalised';
  $('change-pin').disabled = busy;
  for (const button of document.querySelectorAll('[data-chip]')) button.disabled = $('read').disabled;
}

new EventSource('/api/events').onmessage = (event) => showState(JSON.parse(event.data));

for (const button of document.querySelectorAll('form [data-close]')) {
  button.addEventListener('click', () => { button.closest('form').hidden = true; });
}
$('problem').querySelector('button').addEventListener('click', clearProblem);
document.addEventListener('keydown', (event) => {
  if (event.key === 'F2') { event.preventDefault(); $('query').focus(); $('query').select(); }
  if (event.key === 'F4') { event.preventDefault(); $('read').click(); }
  if (event.key === 'Escape') clearProblem();
});

call('GET', '/api/me').then(signedIn, signedOut);
