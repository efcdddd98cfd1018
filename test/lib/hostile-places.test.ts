/** Processes in odd places: no current folder, no home, no output, a locked model folder, a worker with little memory. */

import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { load } from '../../lib/index.js';
import { fixtureFolder } from './fixtures.js';
import { cli } from './magnets.js';

const index = new URL('../../dist/index.js', import.meta.url).href;

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'magnets-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A line of a shell, without what tap has every Node load; in it $NODE, $CLI and $MODEL stand for what they say. */
function shell(line: string, env: NodeJS.ProcessEnv = {}) {
  const all = {
    ...process.env,
    NODE: process.execPath,
    CLI: cli,
    MODEL: fixtureFolder('post'),
    ...env,
  };
  const { stdout, stderr, status } = spawnSync('bash', ['-c', `unset NODE_OPTIONS; ${line}`], {
    encoding: 'utf8',
    env: all,
  });
  return { stdout, stderr, status };
}

const generate = '"$NODE" "$CLI" generate a --model "$MODEL" --count 1 --steps 2 --device cpu';

t.test('model folders behind links, of any name, that nobody may write', async (t) => {
  const folder = temporaryFolder(t);
  const odd = join(folder, 'mödèl 模型 \'a\' "b" $HOME');
  cpSync(fixtureFolder('post'), odd, { recursive: true });
  symlinkSync(odd, join(folder, 'link'));
  chmodSync(odd, 0o555);
  for (const path of [odd, join(folder, 'link'), `${odd}/`]) {
    const model = await load(path, { threads: 1 });
    model.dispose();
  }
  symlinkSync('circle', join(folder, 'circle'));
  await t.rejects(load(join(folder, 'circle')), { message: /its links go in a circle \(ELOOP\)$/ });
  const picture = join(folder, 'öut put.png');
  t.match(shell(`${generate} --out "$OUT"`, { MODEL: join(folder, 'link'), OUT: picture }), {
    status: 0,
    stderr: '',
  });
});

t.test('a model whose files vanish while it is loaded', async (t) => {
  const folder = join(temporaryFolder(t), 'model');
  cpSync(fixtureFolder('post'), folder, { recursive: true });
  const gone = load(folder, {
    onProgress: ({ status }) => {
      if (status === 'reading') rmSync(join(folder, 'model.safetensors'));
    },
  });
  await t.rejects(gone, { code: 'ERR_CHECKPOINT', message: /there is none \(ENOENT\)$/ });
});

t.test('no output, a full one, no current folder, no home, no locale', async (t) => {
  const folder = temporaryFolder(t);
  const out = `--out ${folder}/a.png`;
  for (const closed of ['>&-', '2>&-', '>&- 2>&- <&-']) {
    t.match(shell(`${generate} ${out} ${closed}`), { status: 0 }, closed);
  }
  t.match(shell(`${generate} ${out} > /dev/full`), {
    status: 1,
    stderr: /^magnets: cannot write the output: ENOSPC: .*\n$/,
  });
  const inNoFolder = `mkdir ${folder}/gone && cd ${folder}/gone && rmdir ${folder}/gone &&`;
  t.match(shell(`${inNoFolder} ${generate} ${out}`), { status: 0 });
  t.match(shell(`${inNoFolder} ${generate} --out a.png`), {
    status: 1,
    stderr: /^magnets: cannot write "a.png" for --out: ENOENT/,
  });
  const relative = `import(${JSON.stringify(index)}).then(({ load }) => load('./none')).catch(({ code }) => console.log(code))`;
  t.match(shell(`${inNoFolder} "$NODE" -e "$SCRIPT"`, { SCRIPT: relative }), {
    stdout: 'ERR_CHECKPOINT\n',
  });
  const nowhere = 'HOME=/nonexistent TMPDIR=/nonexistent LANG=xx_YY LC_ALL=tr_TR.UTF-8';
  t.match(shell(`env -i ${nowhere} NODE_ENV= ${generate} ${out}`), { status: 0, stderr: '' });
});

t.test('a model whose weights become shorter while it is loaded, and afterwards', async (t) => {
  const folder = join(temporaryFolder(t), 'model');
  cpSync(fixtureFolder('post'), folder, { recursive: true });
  const weights = join(folder, 'model.safetensors');
  const model = await load(folder, { threads: 1 });
  const half = load(folder, {
    onProgress: ({ status }) => {
      if (status === 'placing') truncateSync(weights, statSync(weights).size / 2);
    },
  });
  await t.rejects(half, {
    code: 'ERR_CHECKPOINT',
    message: /bytes at \d+ but they cannot be read$/,
  });
  truncateSync(weights);
  t.equal((await model.generate({ steps: 2 }).result()).tokens.size, model.tokenCount);
  model.dispose();
});

t.test('weights that are other ones when they are placed', async (t) => {
  const folder = temporaryFolder(t);
  const weights = join(folder, 'model.safetensors');
  const copy = () => {
    cpSync(fixtureFolder('post'), folder, { recursive: true, force: true });
    utimesSync(weights, 1, 1);
    const bytes = readFileSync(weights);
    return bytes.fill(0, bytes.length - 1000);
  };
  const changes = {
    'written to': (bytes: Buffer) => writeFileSync(weights, bytes),
    replaced(bytes: Buffer) {
      writeFileSync(`${weights}.next`, bytes);
      renameSync(`${weights}.next`, weights);
    },
    'a pipe that nobody writes to'() {
      rmSync(weights);
      execFileSync('mkfifo', [weights]);
    },
    'a folder'() {
      rmSync(weights);
      mkdirSync(weights);
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    const bytes = copy();
    const loading = load(folder, {
      threads: 1,
      onProgress: ({ status }) => {
        if (status === 'placing') change(bytes);
      },
    });
    const message =
      /model\.safetensors: expected (a readable file|the file as it was when .* opened)/;
    await t.rejects(loading, { code: 'ERR_CHECKPOINT', message }, name);
    rmSync(weights, { recursive: true });
  }
});

t.test("Node's switches, and what a shell may bound", async (t) => {
  const script = `import(${JSON.stringify(index)}).then(async ({ load }) => {
    const model = await load(process.env.MODEL, { device: 'cpu' });
    const { tokens } = await model.generate({ labels: ['a'], steps: 2 }).result();
    model.dispose();
    console.log(tokens.size);
  }, ({ message }) => console.log(message))`;
  const switches = [
    '--frozen-intrinsics',
    '--disable-proto=delete',
    '--disable-proto=throw',
    '--disallow-code-generation-from-strings',
    '--jitless',
    '--max-old-space-size=16',
    '--unhandled-rejections=strict',
    '--preserve-symlinks',
    '--stress-compaction',
    '--zero-fill-buffers',
  ];
  const lines = [
    ...switches.map((one) => `"$NODE" --no-warnings ${one}`),
    ...['UV_THREADPOOL_SIZE=1', 'UV_THREADPOOL_SIZE=x', 'MALLOC_PERTURB_=165'].map(
      (one) => `${one} "$NODE"`,
    ),
    ...['-s 256', '-n 64', '-f 0', '-c 0'].map((one) => `ulimit ${one}; "$NODE"`),
  ];
  for (const line of lines) {
    const { stdout } = shell(`${line} -e "$SCRIPT"`, { SCRIPT: script });
    t.equal(stdout.trim().split('\n').at(-1), '12', line);
  }
});

t.test('a property of every object', async (t) => {
  const script = `
    Object.prototype.extra = 1;
    import(${JSON.stringify(index)}).then(async ({ animation, decodePng, load, Tensor }) => {
      const model = await load(process.env.MODEL, { threads: 1 });
      const { tokens } = await model.generate({ labels: ['a'], steps: 2 }).result();
      model.dispose();
      const video = new Tensor('float32', new Float32Array(4), [1, 4, 1, 1, 1]);
      const size = { height: 1, width: 1, channels: 1 };
      console.log(tokens.size, decodePng(animation(video, 'apng'), size).size);
      animation(video, 'gif');
    }).catch(({ code, message }) => console.log(code, message))`;
  t.match(shell('"$NODE" -e "$SCRIPT"', { SCRIPT: script }), {
    stdout: /^12 4\nERR_UNSUPPORTED gifenc, which writes GIF files, cannot be loaded: /,
    stderr: '',
  });
});

t.test('a name as long as a file may have', async (t) => {
  const folder = temporaryFolder(t);
  const name = `${'ä'.repeat(125)}x.png`;
  t.match(shell(`${generate} --out "$OUT"`, { OUT: join(folder, name) }), { status: 0 });
  t.same(readdirSync(folder), [name]);
});

t.test('another folder becomes the current one after the call', async (t) => {
  const script = `import(${JSON.stringify(index)}).then(async ({ convert, load }) => {
    process.chdir(process.env.FIXTURES);
    const loading = load('./post', { threads: 1 });
    const converting = convert('public/vq16-tiny/model.pt', { to: process.env.TO });
    process.chdir('/');
    (await loading).dispose();
    console.log((await converting).length);
  })`;
  const folder = temporaryFolder(t);
  const FIXTURES = join(fixtureFolder('post'), '..');
  const env = { SCRIPT: script, FIXTURES, TO: join(folder, 'to') };
  t.match(shell('"$NODE" -e "$SCRIPT"', env), { stdout: '1\n', stderr: '' });
});

t.test('a clock that stands still, and no way to ask for memory', async (t) => {
  const script = `
    performance.now = () => 1;
    process.memoryUsage = () => {
      throw new Error('ENOENT: no such file or directory, uv_resident_set_memory');
    };
    import(${JSON.stringify(index)}).then(async ({ load }) => {
      const batching = { maxWaitMs: 5 };
      const model = await load(process.env.MODEL, { threads: 1, batching });
      const { tokens } = await model.generate({ labels: ['a'], steps: 2 }).result();
      console.log(tokens.size);
      model.dispose();
    })`;
  t.match(shell('timeout 60 "$NODE" -e "$SCRIPT"', { SCRIPT: script }), {
    stdout: '12\n',
    stderr: '',
  });
});

t.test('what a process may not do is said with a code', async (t) => {
  const script = `import(${JSON.stringify(index)}).then(({ load }) => load(process.env.MODEL)).then((model) => {
    console.log(model.threads > 0);
    model.dispose();
  }, ({ code, message }) => console.log(code, message))`;
  const restricted = (...flags: string[]) =>
    shell(`"$NODE" --no-warnings ${flags.join(' ')} -e "$SCRIPT"`, { SCRIPT: script }).stdout;
  const flag = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const everything = '--allow-fs-read=*';
  t.equal(restricted(flag, everything, '--allow-addons'), 'true\n');
  const refused =
    /^ERR_UNSUPPORTED Cannot load .*\n- let this process load addons and read its folder/s;
  t.match(restricted(flag, everything), refused);
  t.match(restricted('--no-addons'), refused);
  const root = new URL('../..', import.meta.url).pathname;
  const modules = shell(`"$NODE" -p "fs.realpathSync('${root}node_modules')"`).stdout.trim();
  const code = [`${root}dist/`, `${root}build/`, `${root}package.json`, `${modules}/`];
  // Node 20 crashes on a path that begins another one.
  const link = `${root}node_modules`;
  if (modules !== link) code.push(link);
  const own = [...code, '/etc/alpine-release'].map((path) => `--allow-fs-read=${path}`);
  t.match(
    restricted(flag, '--allow-addons', ...own),
    /^ERR_CHECKPOINT .*config\.json: expected a readable file but /,
  );
});

t.test('a worker that runs out of memory ends alone', async (t) => {
  const body = `
    import { load } from ${JSON.stringify(index)};
    const model = await load(${JSON.stringify(fixtureFolder('post'))}, { threads: 1 });
    const kept = [];
    for (;;) kept.push(...(await model.generate({ count: 64, steps: 2 }).result()).pixels.data);`;
  const source = new URL(`data:text/javascript,${encodeURIComponent(body)}`);
  const worker = new Worker(source, { resourceLimits: { maxOldGenerationSizeMb: 24 } });
  const error = await new Promise((resolve) => worker.once('error', resolve));
  t.match(error, { code: 'ERR_WORKER_OUT_OF_MEMORY' });
  const model = await load(fixtureFolder('post'), { threads: 1 });
  t.equal((await model.generate({ steps: 2 }).result()).tokens.size, model.tokenCount);
  model.dispose();
});
