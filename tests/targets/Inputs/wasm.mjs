// Runs functions of a linked WebAssembly module: the mixture's gradient against its references, loops with a growing tape
// against differences, and what a failed check says. The C library is what these few lines give.
//     node wasm.mjs gmm gmm.wasm DATA_FOLDER    |    node wasm.mjs loops loops.wasm
import { readFileSync } from 'node:fs'

const [kind, file, folder] = process.argv.slice(2)
let w, top
const bytes = () => new Uint8Array(w.memory.buffer), floats = (p, n) => new Float64Array(w.memory.buffer, p, n)
function malloc(n) {
    const p = top
    top += (n + 15) & ~15
    while (top > w.memory.buffer.byteLength) w.memory.grow(256)
    return p
}
const strlen = p => { let n = 0; while (bytes()[p + n]) n++; return n }
const text = p => Buffer.from(bytes().slice(p, p + strlen(p))).toString()
function snprintf(p, n, format, more) { // of `%lld` alone
    const s = text(format).replace('%lld', () => new DataView(w.memory.buffer).getBigInt64(more, true))
    const b = Buffer.from(s.slice(0, n - 1) + '\0')
    bytes().set(b, p)
    return s.length
}
// Of positive numbers, by Stirling's series.
const lgamma_r = x => {
    let shift = 0
    for (; x < 12; x++) shift += Math.log(x)
    return (x - 0.5)*Math.log(x) - x + 0.5*Math.log(2*Math.PI) + 1/(12*x) - 1/(360*x**3) + 1/(1260*x**5) - 1/(1680*x**7) - shift
}
const env = { malloc, strlen, snprintf, lgamma_r, free() {}, sin: Math.sin, cos: Math.cos, pow: Math.pow,
              memcpy: (d, s, n) => (bytes().copyWithin(d, s, s + n), d), memset: (d, c, n) => (bytes().fill(c, d, d + n), d) }
w = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), { env }).exports
top = Number(w.__heap_base.value)

const check = status => { if (status) { console.log(text(w.tdl_last_error())); process.exit(1) } }

// The bytes of a .npy file's data, in memory.
function load(name) {
    const b = readFileSync(`${folder}/${name}.npy`), head = b.readUInt16LE(8), data = b.subarray(10 + head)
    const shape = b.toString('latin1', 10, 10 + head).match(/'shape': \(([^)]*)\)/)[1].split(',').filter(s => s.trim()).map(Number)
    const p = malloc(data.length)
    bytes().set(data, p)
    return { p, shape, n: data.length / 8 }
}

function gmm() {
    const a = Object.fromEntries(['alpha', 'mu', 'q', 'l', 'x', 'gamma', 'm'].map(s => [s, load(s)]))
    const want = ['value', 'dalpha', 'dmu', 'dq', 'dl'].map(s => load('expect_' + s)), out = want.map(v => malloc(8*v.n))
    const [n, d] = a.x.shape.map(BigInt), k = BigInt(a.alpha.shape[0])
    const gamma = floats(a.gamma.p, 1)[0], m = new BigInt64Array(w.memory.buffer, a.m.p, 1)[0]
    const size = w.gmm_grad_workspace_size(n, d, k, m), ws = malloc(size)
    check(w.gmm_grad(n, d, k, a.alpha.p, a.mu.p, a.q.p, a.l.p, a.x.p, gamma, m, ...out, ws, size))
    want.forEach((v, i) => {
        const got = floats(out[i], v.n), ref = floats(v.p, v.n)
        let error = 0, scale = 0
        for (let j = 0; j < v.n; j++) error = Math.max(error, Math.abs(got[j] - ref[j])), scale = Math.max(scale, Math.abs(ref[j]))
        if (!(error <= 1e-10*scale)) { console.log(`result ${i}: off by ${error}`); process.exit(1) }
    })
    console.log(`gmm agrees, ${size} bytes of workspace`)
    console.log(`too large: ${w.gmm_grad_workspace_size(n, d, 1n << 40n, m) >>> 0}`)
    if (w.gmm_grad(n, d, k, a.alpha.p, a.mu.p, a.q.p, a.l.p, a.x.p, gamma, m, ...out, ws, size - 1)) console.log(text(w.tdl_last_error()))
}

function loops() {
    const x = malloc(72), dx = malloc(72), value = malloc(8)
    const call = (p, out, at) => w.walk_grad(9n, p, 3n, BigInt(at), value, out, 0, 0)
    for (let i = 0; i < 9; i++) floats(x, 9)[i] = 0.1*i + 0.03
    for (let i = 0; i < 9; i++) {
        const at = floats(x, 9)[i], f = v => { floats(x, 9)[i] = v; check(call(x, 0, 2)); return floats(value, 1)[0] }
        const slope = (f(at + 1e-6) - f(at - 1e-6)) / 2e-6
        floats(x, 9)[i] = at
        check(call(x, dx, 2))
        if (!(Math.abs(slope - floats(dx, 9)[i]) < 1e-7)) { console.log(`${i}: ${slope} ${floats(dx, 9)[i]}`); process.exit(1) }
    }
    console.log(floats(value, 1)[0].toFixed(10))
    if (call(x, dx, 9)) console.log(text(w.tdl_last_error()))
}

if (kind === 'gmm') gmm()
else loops()
