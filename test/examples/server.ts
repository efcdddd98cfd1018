/** Starts the example server as a user does, and talks to it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Installed } from './install.js';

export interface Server {
  readonly url: string;
  readonly child: ChildProcess;
  /** Resolves with its exit code. */
  readonly ended: Promise<number | null>;
}

export interface ServerEvent {
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: what the server says is checked where it is used
  readonly data: any;
}

export async function startServer(
  example: Installed,
  t: { teardown(run: () => Promise<void>): void },
  settings: Record<string, string> = {},
): Promise<Server> {
  const child = spawn(process.execPath, ['server.js'], {
    cwd: example.folder,
    env: { ...process.env, PORT: '0', MODELS: 'fashion', ...settings },
    stdio: ['ignore', 'pipe', 'ignore'], // a server that outlived a test would hold its output open
  });
  const ended = once(child, 'exit').then(([code]) => code as number | null);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return { url: line.replace('Listening on ', ''), child, ended };
}

export function post(url: string, body: unknown, signal?: AbortSignal): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...(signal && { signal }),
  });
}

/** The server-sent events of an answer. */
export async function* eventsOf(response: Response): AsyncGenerator<ServerEvent> {
  let rest = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const messages = (rest + chunk).split('\n\n');
    rest = messages.pop()!;
    for (const message of messages) {
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(message)!;
      yield { event: event!, data: JSON.parse(data!) };
    }
  }
}
