// The counter's part of the page: residents and applications, the reader and its
// card, chip work, handing over, printing, and settling a visit.
import { $, Problem, call, clearProblem, dataURL, el, guard, may, operator, options, part, showProblem, signIn, signOut } from './base.js';
import './stock.js';
import './batches.js';
import './lists.js';

// ---- sign-in

let shown = null; // the person file on the screen
let busy = false; // with the chip
let live = { card: { kind: 'none' } }; // reader and platform as last told

function clearCounter() {
  shown = null;
  for (const id of ['hits', 'person-facts', 'applications', 'cards', 'queue', 'result-fields', 'result-areas', 'element-values', 'person-name', 'result-verdict', 'details']) $(id).replaceChildren();
  showPhoto(null);
  for (const id of ['person', 'person-form', 'file-form', 'guardian-form', 'pin', 'handover', 'element', 'print', 'result']) $(id).hidden = true;
  signature.clear();
}

async function openCounter() {
  const businesses = { hospital: [['outpatient.settle', '门诊结算 outpatient']], pharmacy: [['pharmacy.purchase', '药店购药 pharmacy']] };
  const mine = businesses[document.body.dataset.kind] || [];
  $('visit').hidden = mine.length === 0 || !may('submitTransaction');
  options($('visit').business, mine);
  // Whoever only settles visits has no business with files and applications.
  const office = may('findPersons');
  $('left').hidden = !office;
  offerBankNumber();
  if (office) { $('query').focus(); await refreshQueue(); }
}
part('counter', 'openChipSession', openCounter, clearCounter);

$('sign-in').addEventListener('submit', guard(async () => {
  const form = $('sign-in');
  const who = await call('POST', '/api/sign-in', { login: form.login.value, password: form.password.value });
  form.reset();
  await signIn(who);
}));
$('sign-out').addEventListener('click', guard(async () => { await call('POST', '/api/sign-out'); signOut(); }));

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
  $('apply').replaceChildren(...shown.mayApply.map(applyButton));
  $('applications').replaceChildren(...shown.applications.map(applicationItem));
  $('cards').replaceChildren(...shown.cards.map(cardItem));
  await openDetails(id);
}

// ---- the rest of a resident's file

const addressKinds = { registered: '户籍地址', residence: '居住地址', work: '单位地址', delivery: '收件地址' };
const relations = { father: '父', mother: '母', other: '其他监护人' };
const fileKinds = {
  photo: '照片', signature: '签名', 'id-front': '身份证人像面', 'id-back': '身份证国徽面', 'household-book': '户口簿',
  'birth-certificate': '出生医学证明', authorisation: '委托书', 'application-form': '申领登记表', other: '其他',
};
$('file-form').kind.replaceChildren(...Object.entries(fileKinds).map(([value, text]) => Object.assign(el('option', text), { value })));

function showPhoto(answer) {
  $('photo').hidden = !answer;
  if (answer) $('photo').src = `data:${answer.attachment.mediaType};base64,${answer.content}`; else $('photo').removeAttribute('src');
}

async function openDetails(id) {
  for (const form of ['file-form', 'guardian-form']) $(form).hidden = true;
  const mayChange = may('attach');
  $('add-file').hidden = $('add-guardian').hidden = !mayChange;
  const file = await call('GET', `/platform/v1/persons/${id}/details`);
  const ended = (until) => (until ? `（至 ${until}）` : '');
  const { household } = file;
  const lines = [
    ['人群', file.groups.map((g) => g.text.zh + ended(g.until)).join('、')],
    ...file.guardians.map((g) => [`监护人（${relations[g.relation]}）`, `${g.name}　${g.numberMasked}${ended(g.until)}`]),
    ...file.addresses.map((a) => [addressKinds[a.kind], `${a.placeName || ''}　${a.addressMasked}${ended(a.until)}`]),
    ['户口', [household.numberMasked, household.role].filter(Boolean).join('　')],
  ].filter(([, value]) => value);
  const dl = $('details');
  dl.replaceChildren(...lines.flatMap(([name, value]) => [el('dt', name), el('dd', value)]));
  for (const a of file.attachments.filter((one) => one.state === 'valid' && one.kind !== 'photo')) {
    const open = el('button', '打开 open');
    open.type = 'button';
    open.addEventListener('click', guard(() => openAttachment(id, a)));
    const value = el('dd');
    value.append(`${a.from.slice(0, 10)}　`, open);
    dl.append(el('dt', a.text.zh), value);
  }
  if (dl.children.length === 0) dl.append(el('dd', '没有登记 nothing is recorded'));
  const photo = file.attachments.find((one) => one.kind === 'photo' && one.state === 'valid');
  showPhoto(photo ? await call('GET', `/platform/v1/persons/${id}/attachments/${photo.id}`) : null);
}

// openAttachment shows a picture beside the file; a PDF is saved.
async function openAttachment(id, attachment) {
  const reason = prompt(`查看${attachment.text.zh}：请填写原因 reason`);
  if (!reason) return;
  const answer = await call('GET', `/platform/v1/persons/${id}/attachments/${attachment.id}?reason=${encodeURIComponent(reason)}`);
  const link = Object.assign(el('a'), { href: `data:${attachment.mediaType};base64,${answer.content}`, download: `${attachment.text.zh}.${attachment.mediaType.split('/')[1]}` });
  if (attachment.mediaType === 'application/pdf') { link.click(); return; }
  showMessage(attachment.text.zh, '');
  $('result-areas').replaceChildren(Object.assign(el('img'), { src: link.href, alt: attachment.text.zh, className: 'scan' }));
}

// cropped cuts a photograph to the card's proportions, from its middle.
async function cropped(url) {
  const [width, height] = [358, 441];
  const image = Object.assign(new Image(), { src: url });
  try { await image.decode(); } catch { throw new Problem({ title: '图片无法识别', titleEn: 'the picture cannot be decoded' }); }
  if (image.width === width && image.height === height) return url;
  const canvas = Object.assign(el('canvas'), { width, height });
  const scale = Math.max(width / image.width, height / image.height);
  const [w, h] = [image.width * scale, image.height * scale];
  canvas.getContext('2d').drawImage(image, (width - w) / 2, (height - h) / 2, w, h);
  return canvas.toDataURL('image/jpeg', 0.92);
}

const openForm = (id) => guard(() => { $(id).hidden = false; $(id).elements[0].focus(); });
$('add-file').addEventListener('click', openForm('file-form'));
$('add-guardian').addEventListener('click', openForm('guardian-form'));

$('file-form').addEventListener('submit', guard(async () => {
  const form = $('file-form');
  let url = await dataURL(form.content.files[0]);
  if (form.kind.value === 'photo') url = await cropped(url);
  const body = { kind: form.kind.value, content: url.slice(url.indexOf(',') + 1), reason: form.reason.value };
  await call('POST', `/platform/v1/persons/${shown.person.id}/attachments`, body);
  form.reset();
  await openDetails(shown.person.id);
}));

$('guardian-form').addEventListener('submit', guard(async () => {
  const form = $('guardian-form');
  await call('POST', `/platform/v1/persons/${shown.person.id}/guardians`, Object.fromEntries(new FormData(form)));
  form.reset();
  await openDetails(shown.person.id);
}));

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

// 可申领的事项 what this resident may apply for
const applyTexts = { first: '申领社会保障卡 apply', replacement: '遗失补卡 replace', exchange: '换卡 exchange', temporary: '临时卡 temporary card' };
const grounds = {
  replacement: [['lost', '遗失'], ['stolen', '被盗'], ['other', '其他']],
  exchange: [['damaged', '损坏'], ['unreadable', '无法读卡'], ['expiring', '有效期将满'], ['misprint', '卡面信息有误'], ['quality', '质量问题'], ['data-changed', '信息变更'], ['other', '其他']],
  temporary: [['waiting', '等待正式卡'], ['no-account', '银行开户未成功'], ['other', '其他']],
};
function applyButton(kind) {
  const button = el('button', applyTexts[kind] || kind, kind === 'first' ? 'primary' : '');
  button.type = 'button';
  button.dataset.apply = kind;
  button.addEventListener('click', guard(async () => {
    const body = { personId: shown.person.id, kind, ...await askApplying(applyTexts[kind]) };
    if (!body.applicant) return;
    if (grounds[kind]) {
      const asked = await askReason(applyTexts[kind], grounds[kind].map(([code, zh]) => ({ code, text: { zh } })), false);
      if (!asked) return;
      body.ground = asked.code;
    }
    await call('POST', '/platform/v1/applications', body);
    await refresh();
  }));
  return button;
}

// askApplying asks who applies and for the dates of the document; nothing when
// it is given up.
function askApplying(title) {
  const dialog = $('applying'), form = $('applying-form');
  form.reset();
  $('applying-title').textContent = title;
  const needed = () => {
    const who = form.applicant.value;
    $('applying-agent').hidden = who !== 'agent';
    for (const input of $('applying-agent').querySelectorAll('input')) input.required = who === 'agent';
    $('applying-institution').hidden = ['holder', 'guardian', 'agent'].includes(who);
  };
  form.applicant.onchange = needed;
  needed();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => {
      if (dialog.returnValue !== 'yes') { resolve({}); return; }
      const body = { applicant: form.applicant.value, method: form.method.value, draft: form.draft.checked };
      for (const name of ['validFrom', 'validUntil', 'institution']) if (form[name].value) body[name] = form[name].value;
      if (form.endless.checked) body.validUntil = '9999-12-31';
      if (body.applicant === 'agent') body.agent = { name: form.agentName.value, number: form.agentNumber.value, authorisation: form.authorisation.value };
      resolve(body);
    };
  });
}

// askReason asks for a reason: one of the codes, and words where the code is other.
function askReason(title, reasons, words) {
  const dialog = $('ask'), form = $('ask-form');
  $('ask-title').textContent = title;
  form.code.replaceChildren(...reasons.map(({ code, text }) => Object.assign(el('option', text.zh), { value: code })));
  form.reason.value = '';
  $('ask-words').hidden = !words;
  const needed = () => { form.reason.required = words && form.code.value === 'other'; };
  form.code.onchange = needed;
  needed();
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === 'yes' ? { code: form.code.value, reason: form.reason.value.trim() || undefined } : undefined);
  });
}

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
    let asked;
    if (allowed.final && !confirm(`${allowed.text.zh}\n此操作不可恢复，确定吗？\n${allowed.text.en}: nothing undoes it`)) return;
    if (allowed.needsReason) {
      asked = await askReason(allowed.text.zh, allowed.reasons || [{ code: 'other', text: { zh: '其他' } }], true);
      if (!asked) return;
    }
    await fire(asked);
    await refresh();
  }));
  return button;
}

// waiting says what is applied for, by whom, and until when it is to be done.
function waiting(application) {
  const kinds = { first: '新申领', replacement: '补卡', exchange: '换卡', temporary: '临时卡' };
  const people = { holder: '本人', guardian: '监护人', agent: '代办人', employer: '单位', school: '学校', community: '村社', bank: '银行' };
  const due = application.due ? `　${application.overdue ? '已超时' : '时限'} ${new Date(application.due).toLocaleString('zh-CN', { dateStyle: 'short', timeStyle: 'short' })}` : '';
  return el('small', `${kinds[application.kind] || application.kind}　${people[application.applicant] || ''}${due}`, application.overdue ? 'bad' : '');
}

// proofButton shows the applicant what the card will show, and notes that it is
// right.
function proofButton(application) {
  const button = el('button', '校样 proof…');
  button.type = 'button';
  button.dataset.proof = application.id;
  button.addEventListener('click', guard(async () => {
    const path = `/platform/v1/applications/${application.id}/proof`;
    const proof = await call('GET', path);
    showMessage('校样，请申领人核对 proof', `${proof.name}　${proof.idNumber}`);
    const found = proof.findings.map((f) => f.text.zh).join('；');
    if (found) $('result-areas').append(el('p', found, 'warn'));
    if (!proof.digest) { $('result-areas').append(el('p', '没有照片，无须确认 there is no photograph')); return; }
    const confirm = el('button', '申领人确认无误 confirmed', 'primary');
    confirm.type = 'button';
    confirm.id = 'confirm-proof';
    confirm.addEventListener('click', guard(async () => {
      await call('POST', path, { digest: proof.digest });
      showMessage('校样 proof', '✔ 已确认 confirmed');
      await refresh();
    }));
    $('result-areas').append(Object.assign(el('img'), { src: `data:${proof.mediaType};base64,${proof.photo}`, alt: '照片 photograph', className: 'scan' }), confirm);
    confirm.focus();
  }));
  return button;
}

// ministryAnswer says what the ministry has said of cards in other provinces,
// and lets it be asked anew.
function ministryAnswer(application) {
  const { demand, state, text, province } = application.ministry;
  const shown = el('small', `部级查重：${text.zh}${province ? '（' + province + '）' : ''}`, demand === 'required' && state !== 'accepted' ? 'bad' : '');
  if (demand === 'none' || application.state !== 'applied' || !['none', 'duplicate', 'rejected'].includes(state) || !may('askMinistry')) return [shown];
  const button = el('button', '重新查重 ask again');
  button.type = 'button';
  button.dataset.ministry = application.id;
  button.addEventListener('click', guard(async () => {
    await call('POST', `/platform/v1/applications/${application.id}/ministry-query`);
    await refresh();
  }));
  return [shown, button];
}

function applicationItem(application) {
  const item = el('li');
  item.dataset.application = application.id;
  item.append(el('span', `${application.personName}　${application.stateText.zh}${application.cardNumber ? '　卡号 ' + application.cardNumber : ''}${application.reason ? '　' + application.reason : ''}`, 'grow'), waiting(application));
  if (may('confirmProof') && !application.confirmedAt && ['draft', 'applied', 'returned'].includes(application.state)) item.append(proofButton(application));
  if (application.ministry && (application.ministry.demand !== 'none' || application.ministry.state !== 'none')) item.append(...ministryAnswer(application));
  for (const allowed of application.events) {
    item.append(eventButton(allowed, (asked) => allowed.chip
      ? chip({ operation: allowed.chip, applicationId: application.id }, allowed.text.zh)
      : call('POST', `/platform/v1/applications/${application.id}/events`, { event: allowed.event, reasonCode: asked?.code, reason: asked?.reason })));
  }
  return item;
}

function cardItem(card) {
  const item = el('li');
  item.dataset.card = card.id;
  item.append(el('span', `${card.number}　`, ''), el('strong', card.statusText.zh, card.status === '1' ? 'good' : card.status === '0' ? 'warn' : 'bad'),
    el('span', `有效期至 ${card.expiresOn}`, 'grow'));
  const works = el('div', undefined, 'row works');
  works.append(el('span', '芯片业务 chip'));
  for (const allowed of card.events) {
    if (allowed.work) {
      works.append(...workButtons(allowed, card));
      continue;
    }
    item.append(eventButton(allowed, (asked) => allowed.chip
      ? onCard(allowed, card)
      : call('POST', `/platform/v1/cards/${card.id}/events`, { event: allowed.event, reasonCode: asked?.code, reason: asked?.reason })));
  }
  if (works.children.length > 1) item.append(works);
  if (card.printable) item.append(printButton(card));
  if (card.status !== '9') item.append(activationBox(card.id));
  return item;
}

// onCard does an event with the chip of a card; before it is activated, it is on
// record who takes it.
async function onCard(allowed, card) {
  if (allowed.chip === 'activate') await takesCard(card);
  await chip({ operation: allowed.chip, cardId: card.id }, allowed.text.zh);
}

// ---- handing over

// signature is the field in which whoever takes a card signs, with a pen, a
// finger or the mouse.
const signature = (() => {
  const pad = $('signature'), ink = pad.getContext('2d');
  let written = false;
  const clear = () => { ink.fillStyle = '#fff'; ink.fillRect(0, 0, pad.width, pad.height); written = false; };
  const place = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) * pad.width / box.width, (event.clientY - box.top) * pad.height / box.height];
  };
  ink.lineWidth = 3; ink.lineCap = ink.lineJoin = 'round';
  pad.addEventListener('pointerdown', (event) => { pad.setPointerCapture(event.pointerId); ink.beginPath(); ink.moveTo(...place(event)); });
  pad.addEventListener('pointermove', (event) => {
    if (!(event.buttons & 1)) return;
    ink.lineTo(...place(event)); ink.stroke();
    written = true;
  });
  clear();
  return { clear, png: () => (written ? pad.toDataURL('image/png').split(',')[1] : undefined) };
})();
$('signature-clear').addEventListener('click', () => signature.clear());

// takesCard sees to it that it is on record who takes a card, where the place
// asks for it. Whatever else keeps the card from being activated is said before
// the holder is asked for a number.
async function takesCard(card) {
  const path = `/platform/v1/cards/${card.id}/handover`;
  const { asked, lacks } = await call('GET', path);
  const other = lacks.find((lack) => !['no-taker', 'unsigned'].includes(lack.code));
  if (other) throw new Problem({ title: other.text.zh, detail: other.remedy.zh, titleEn: other.text.en, detailEn: other.remedy.en });
  if (lacks.length > 0) await askTaker(path, asked === 'signature');
}

function askTaker(path, signed) {
  const form = $('handover');
  form.reset(); signature.clear();
  $('handover-sign').hidden = $('signature-clear').hidden = !signed;
  const needed = () => {
    const agent = form.taker.value === 'agent';
    $('handover-agent').hidden = !agent;
    for (const name of ['agent.name', 'agent.number', 'agent.relation']) form.elements[name].required = agent;
  };
  form.taker.onchange = needed;
  needed();
  form.hidden = false;
  form.scrollIntoView({ block: 'nearest' });
  form.taker.focus();
  return new Promise((resolve, reject) => {
    form.onsubmit = guard(async () => {
      const body = { taker: form.taker.value };
      if (body.taker === 'agent') {
        body.proof = form.proof.value;
        body.agent = Object.fromEntries(['name', 'number', 'relation', 'authorisation'].map((name) => [name, form.elements[`agent.${name}`].value]).filter(([, value]) => value));
      }
      if (signed) {
        body.signature = signature.png();
        if (!body.signature) throw new Problem({ title: '领卡人尚未签字', detail: '请领卡人在签字框内签字。', titleEn: 'whoever takes the card has not signed' });
      }
      await call('POST', path, body);
      form.hidden = true; form.reset(); signature.clear();
      resolve();
    });
    form.querySelector('[data-close]').onclick = () => { signature.clear(); reject(new Problem({ title: '已取消', titleEn: 'cancelled' })); };
  });
}

// ---- printing the face

function printButton(card) {
  const button = el('button', '打印卡面 print');
  button.type = 'button';
  button.dataset.print = card.id;
  button.addEventListener('click', guard(() => printFace(card)));
  return button;
}

// printFace opens the face and asks how it came out: only what the person at the
// desk says counts. What cannot be printed says so before a window opens.
async function printFace(card) {
  const prints = `/platform/v1/cards/${card.id}/prints`;
  const state = await call('GET', prints);
  const face = `/platform/v1/cards/${card.id}/face`;
  const answer = await fetch(face);
  if (!answer.ok) throw new Problem(await answer.json().catch(() => ({ title: '应答无法识别', titleEn: 'unreadable answer' })));
  // By its address: the page's own rules for content keep a viewer from a blob.
  window.open(face, '_blank', 'noopener');
  const form = $('print');
  form.reset();
  form.printer.value = localStorage.getItem('printer') || '';
  $('print-reason-label').hidden = !state.printed;
  form.reason.required = state.printed;
  form.hidden = false;
  form.scrollIntoView({ block: 'nearest' });
  form.onsubmit = guard(async (event) => {
    const body = { printer: form.printer.value, outcome: event.submitter?.value || 'printed' };
    for (const name of ['cause', 'reason']) if (form[name].value) body[name] = form[name].value;
    const done = await call('POST', prints, body);
    localStorage.setItem('printer', form.printer.value);
    form.hidden = true;
    showMessage('卡面打印 print', done.outcome === 'printed' ? `✔ 第 ${done.attempt} 次，打印完好` : `✘ 第 ${done.attempt} 次，打印失败：${done.cause}`);
    if (done.outcome !== 'printed') $('result-verdict').className = 'big bad';
  });
}

// workButtons are those of a line of chip work; reading and writing has one for
// each thing that a clerk does with it.
function workButtons(allowed, card) {
  const button = (text, name, work) => {
    const made = eventButton({ ...allowed, text }, work);
    made.dataset.work = name;
    // There are many of them: the English is in the tip.
    made.textContent = text.zh;
    made.title = `${text.en}，${made.title}`;
    return made;
  };
  if (allowed.event !== 'access') return [button(allowed.text, allowed.event, () => chip({ operation: allowed.chip, cardId: card.id }, allowed.text.zh))];
  return [
    button({ zh: '读取全部 F8', en: 'read all' }, 'everything', () => readEverything(card)),
    button({ zh: '更新一项', en: 'write one' }, 'write', () => askElement(card, '更新一项', (target) => target.kind !== 'transparent')),
    button({ zh: '就业记录', en: 'job record' }, 'append', () => askElement(card, '追加就业记录', (target) => target.path === jobRecords)),
  ];
}

// ---- what waits

async function refreshQueue() {
  const { queues } = await call('GET', '/platform/v1/queues');
  const form = $('queue-form');
  const chosen = form.queue.value || 'applied';
  const count = (n, most) => (n > most ? `${most}+` : n);
  form.queue.replaceChildren(...queues.map((q) => Object.assign(el('option', `${q.text.zh}（${count(q.open, q.most)}，超时 ${count(q.overdue, q.most)}，一日内到期 ${count(q.dueSoon, q.most)}）`), { value: q.state })));
  form.queue.value = chosen;
  const filter = new URLSearchParams({ queue: chosen });
  if (form.kind.value) filter.set('kind', form.kind.value);
  if (form.overdue.checked) filter.set('overdue', 'true');
  const { applications } = await call('GET', `/platform/v1/applications?${filter}`);
  $('queue').replaceChildren(...applications.map(applicationItem));
  if (applications.length === 0) $('queue').append(el('li', chosen === 'applied' ? '没有待复核的申领 nothing is waiting' : '没有待办 nothing is waiting'));
}
$('queue-form').addEventListener('submit', guard(refreshQueue));
$('queue-form').addEventListener('change', guard(refreshQueue));

// ---- the chip

// askPIN asks the holder for a number: for a new one twice. One that may be
// left out is empty then.
function askPIN(title, twice, optional = false) {
  return new Promise((resolve, reject) => {
    const form = $('pin');
    form.pin.required = !optional;
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
  if (['activate', 'resetPIN'].includes(job.operation)) job.pin = await askPIN('请持卡人设置社保密码 choose a PIN', true);
  busy = true; showState(live);
  try {
    showResult(await call('POST', '/api/chip', job), title, job.operation === 'access' ? await call('GET', '/api/areas') : null);
    if (job.operation === 'activate') $('result-areas').append(activationBox(job.cardId));
  } finally {
    busy = false; showState(live);
  }
}

// ---- both activations: the card's own, and that of its bank account

const activationMarks = { done: '✔ ', refused: '✘ ', held: '✘ ', none: '— ' };
const activationClasses = { done: 'good', refused: 'bad', held: 'bad', none: '' };

// activationBox shows the two results side by side. The first is known at once;
// the second comes from the bank, and the box looks for it while it is on the
// screen.
function activationBox(cardId) {
  const box = el('dl', undefined, 'facts activation');
  box.dataset.activation = cardId;
  followActivation(cardId, box).catch(showProblem);
  return box;
}

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

async function followActivation(cardId, box) {
  const path = `/platform/v1/cards/${cardId}/activation`;
  for (let n = 0; n === 0 || box.isConnected; n++) {
    const both = await call('GET', path);
    showActivation(box, both, path);
    if (!both.financial.pending) return;
    await pause(n < 5 ? 1000 : 10000);
  }
}

function showActivation(box, { social, financial }, path) {
  const first = el('dd', social.done ? `✔ 已启用${social.status === '1' ? '' : `（${social.text.zh}）`}` : '✘ 未启用', social.done ? 'good' : 'warn');
  const words = financial.words ? `：${[financial.code, financial.words].filter(Boolean).join(' ')}` : '';
  const second = el('dd', `${activationMarks[financial.state] || ''}${financial.text.zh}${words}${financial.bankName ? `　${financial.bankName}` : ''}`, activationClasses[financial.state] ?? 'warn');
  second.dataset.state = financial.state;
  second.title = financial.text.en;
  if (financial.askable && may('askActivation')) {
    const again = el('button', '再请银行激活 ask again');
    again.type = 'button';
    again.dataset.ask = 'activation';
    again.addEventListener('click', guard(async () => {
      await call('POST', path);
      followActivation(box.dataset.activation, box).catch(showProblem);
    }));
    second.append(' ', again);
  }
  box.replaceChildren(el('dt', '社保功能启用 social'), first, el('dt', '金融账户激活 bank'), second);
}

// ---- reading and writing elements

const jobRecords = 'DF02/EF07';

async function readEverything(card) {
  const pin = await askPIN('请持卡人输入社保密码，不在场可不填 PIN, or none', false, true);
  await chip({ operation: 'access', cardId: card.id, everything: true, pin }, '读取全部');
}

// limits say in words what an element takes, by its coding.
const limits = {
  an: (length) => `至多 ${length} 字节，一个汉字 2 字节`,
  cn: (length) => `至多 ${2 * length} 位数字`,
  b: (length) => `${2 * length} 位十六进制`,
  dec: () => '金额，单位分',
  hex4: () => '金额，单位分',
};
const patterns = { an: '.*', cn: '[0-9]*', b: '[0-9A-Fa-f]*', dec: '[0-9]*', hex4: '[0-9]*' };

// sizeOf is the length of text on a chip: GBK has one byte for ASCII and two
// for what else it has.
const sizeOf = (text) => [...text].reduce((sum, c) => sum + (c.charCodeAt(0) < 0x80 ? 1 : 2), 0);

// valueInput asks for one value and counts what is left of its room.
function valueInput(name, text, part) {
  const label = el('label', text);
  const input = Object.assign(el('input'), { name, autocomplete: 'off', pattern: patterns[part.coding] });
  const limit = limits[part.coding](part.length);
  const hint = el('small', limit);
  const count = () => {
    const used = part.coding === 'an' ? sizeOf(input.value) : Math.ceil(input.value.length / 2);
    const over = !['dec', 'hex4'].includes(part.coding) && used > part.length;
    input.setCustomValidity(over ? limit : '');
    hint.textContent = part.coding === 'an' ? `${limit}（已用 ${used}）` : limit;
    hint.className = over ? 'bad' : '';
  };
  input.addEventListener('input', count);
  count();
  label.append(input, hint);
  return label;
}

// tentative marks what no public source confirms.
const tentative = (target) => (target?.assumed ? '（暂定）' : '');

// askElement opens the form for the targets that fit.
async function askElement(card, title, fits) {
  const areas = await call('GET', '/api/areas');
  const form = $('element');
  const targets = new Map();
  form.path.replaceChildren(...areas.map((area) => {
    const group = Object.assign(el('optgroup'), { label: area.zh });
    for (const target of area.targets.filter((t) => t.write && fits(t))) {
      targets.set(target.path, target);
      const inFile = target.file.zh === target.zh ? '' : `${target.file.zh}：`;
      group.append(Object.assign(el('option', `${inFile}${target.zh}${target.kind === 'cyclic' ? ' 追加一条' : ''}${tentative(target)}`), { value: target.path }));
    }
    return group;
  }).filter((group) => group.children.length > 0));
  const choose = () => {
    const target = targets.get(form.path.value);
    $('element-values').replaceChildren(...(target.parts
      ? target.parts.map((part) => valueInput(part.name, `${part.zh} ${part.en}`, part))
      : [valueInput('text', '新值，留空即清除 new value; none clears it', target)]));
  };
  if (targets.size === 0) throw new Problem({ title: '此卡没有可写的数据项', titleEn: 'the card has nothing of this kind to write' });
  $('element-title').textContent = title;
  form.path.onchange = choose;
  choose();
  form.hidden = false;
  $('element-values').querySelector('input').focus();
  form.onsubmit = guard(async () => {
    const target = targets.get(form.path.value);
    const inputs = [...$('element-values').querySelectorAll('input')];
    const item = { path: target.path };
    if (target.parts) item.parts = Object.fromEntries(inputs.filter((input) => input.value !== '').map((input) => [input.name, input.value]));
    else item.text = inputs[0].value;
    const job = { operation: 'access', cardId: card.id, items: [item] };
    if (target.pin) job.pin = await askPIN('请持卡人输入社保密码 PIN', false);
    await chip(job, `${title}：${target.zh}`);
    form.hidden = true; $('element-values').replaceChildren();
  });
}

function offerBankNumber() {
  $('bank-number').hidden = live.card.kind !== 'personalised' || !operator?.roles.some((role) => ['clerk', 'supervisor'].includes(role));
  $('bank-number').disabled = busy;
}

$('bank-number').addEventListener('click', guard(async () => {
  const { number } = await call('POST', '/api/bank-number');
  showMessage('银行卡号 bank account', number);
}));

// showMessage shows an end that has no fields.
function showMessage(title, text) {
  $('result').hidden = false;
  $('result-title').textContent = title;
  $('result-verdict').textContent = text;
  $('result-verdict').className = 'big good';
  $('result-fields').replaceChildren(); $('result-areas').replaceChildren();
}

$('read').addEventListener('click', guard(() => chip({ operation: 'read' }, '读卡 card')));
$('change-pin').addEventListener('click', guard(async () => {
  const old = await askPIN('请持卡人输入原社保密码 old PIN', false);
  const fresh = await askPIN('请持卡人设置新社保密码 new PIN', true);
  await call('POST', '/api/pin', { old, fresh });
  showMessage('改社保密码 PIN', '✔ 已修改 changed');
}));
$('stop').addEventListener('click', guard(() => call('POST', '/api/stop')));

// fieldRow shows an element, the parts of a template or a record in it.
function fieldRow(field, target) {
  const row = el('tr');
  row.dataset.field = field.name;
  const value = el('td');
  for (const part of field.parts || []) value.append(el('div', `${part.zh}　${part.value || '（空）'}`));
  if (!field.parts) value.textContent = [field.value || '（空）', field.meaning].filter(Boolean).join('　');
  const name = el('td', field.name === 'record' ? `第 ${field.tag} 条` : field.zh);
  if (target?.assumed) name.append(el('small', ' 暂定', 'warn'));
  row.append(name, value);
  if (!field.value && !field.parts) row.className = 'empty';
  return row;
}

// areaOf shows what was read of one area, closed while there is nothing in it.
function areaOf(area, fields) {
  const targets = new Map(area.targets.map((target) => [target.path, target]));
  const find = (field) => targets.get(field.name === 'record' ? field.file : `${field.file}/${field.name}`);
  const mine = fields.filter(find);
  const filled = mine.filter((field) => field.value || field.parts).length;
  const details = Object.assign(el('details'), { open: filled > 0 });
  details.dataset.area = area.zh;
  details.append(el('summary', `${area.zh}（${filled}/${mine.length}）`));
  const table = el('table');
  let file = '';
  for (const field of mine) {
    const target = find(field);
    if (target.file.zh !== file && target.file.zh !== area.zh) {
      const head = el('tr');
      head.append(Object.assign(el('th', target.file.zh), { colSpan: 2 }));
      table.append(head);
    }
    file = target.file.zh;
    table.append(fieldRow(field, target));
  }
  details.append(table);
  return mine.length > 0 ? details : null;
}

function showResult(result, title, areas) {
  $('result').hidden = false;
  $('result-title').textContent = title;
  const verdict = $('result-verdict');
  verdict.textContent = `${result.fields.length === 0 ? '✔ 已完成 done　' : ''}${result.genuine ? '✔ 芯片为真 genuine' : '✘ 芯片未通过认证 not genuine'}${result.statusText ? '　' + result.statusText.zh : ''}`;
  verdict.className = `big ${result.genuine && (result.status || '1') === '1' ? 'good' : result.genuine ? 'warn' : 'bad'}`;
  $('result-fields').replaceChildren(...(areas ? [] : result.fields.map((field) => fieldRow(field))));
  $('result-areas').replaceChildren(...(areas || []).map((area) => areaOf(area, result.fields)).filter(Boolean));
  $('result').scrollIntoView({ block: 'nearest' });
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
  $('result-areas').replaceChildren();
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
  offerBankNumber();
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
  if (event.key === 'F8') { event.preventDefault(); document.querySelector('[data-work="everything"]')?.click(); }
  if (event.key === 'Escape') {
    const close = [...document.querySelectorAll('form [data-close]')].find((button) => button.offsetParent !== null);
    if ($('problem').hidden && close) close.click(); else clearProblem();
  }
});

call('GET', '/api/me').then((who) => signIn(who).catch(showProblem), signOut);
