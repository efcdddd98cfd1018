/** A group: batches with equal steps, of one request or of several, that run as one native session. */

import type { FlopsByPart } from '../plan/flops.js';
import type { BatchPlan, StepPlan } from '../plan/plan.js';
import type { Counters } from './metrics.js';
import type {
  NativeConfidence,
  NativeGenerator,
  NativeSession,
  NativeSessionOptions,
  NativeState,
  NativeStep,
  NativeStepOptions,
} from './native.js';

/** A batch of a request, ready for a session. */
export interface Work {
  readonly session: NativeSessionOptions;
  readonly plan: BatchPlan;
  readonly confidence: NativeConfidence;
  readonly topK: number;
  /** Somebody looks at every step, so that its tokens are read. */
  readonly observed: boolean;
}

/** A step that has run, as one of the works sees it. */
export interface WorkStep {
  readonly step: StepPlan;
  /** FLOPs that were launched: of several works each has the share that the plans say. */
  readonly parts: FlopsByPart;
  /** Of the work's own samples; at the last step, and at others where somebody needs it. */
  readonly state: NativeState | undefined;
}

/** A step that the session has been asked for. */
interface AskedStep {
  /** The works that it is run for. */
  readonly present: readonly Work[];
  readonly read: boolean;
  readonly done: Promise<NativeStep>;
}

/** Works with the same key have equal steps, for the same model. */
export function keyOf({ plan, session, confidence, topK }: Work): string {
  const steps = plan.steps.map(({ width, refresh, guidance, temperature, choiceTemperature }) => [
    width.heads,
    width.hidden,
    refresh,
    guidance,
    temperature,
    choiceTemperature,
  ]);
  return JSON.stringify([plan.cache, session.nullClassId, confidence, topK, steps]);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

type Values = Int32Array | Uint8Array | BigUint64Array;

function concatenated<T extends Values>(lists: readonly T[]): T {
  const [first] = lists;
  if (lists.length === 1) return first!;
  const length = sum(lists.map((list) => list.length));
  const result = new (first!.constructor as new (size: number) => T)(length);
  let offset = 0;
  for (const list of lists) {
    result.set(list as never, offset);
    offset += list.length;
  }
  return result;
}

/** One session for the samples of all. */
function joined(all: readonly NativeSessionOptions[]): NativeSessionOptions {
  return {
    ids: concatenated(all.map(({ ids }) => ids)),
    masked: concatenated(all.map(({ masked }) => masked)),
    turns: concatenated(all.map(({ turns }) => turns)),
    classIds: concatenated(all.map(({ classIds }) => classIds)),
    nullClassId: all[0]!.nullClassId,
    sampleNumbers: concatenated(all.map(({ sampleNumbers }) => sampleNumbers)),
    seeds: concatenated(all.map(({ seeds }) => seeds)),
  };
}

/** What was launched for all, divided as the plans say: exactly theirs where as much was launched as they say. */
function shareOf(launched: FlopsByPart, own: FlopsByPart, all: readonly FlopsByPart[]) {
  const share = (part: keyof FlopsByPart) => {
    const planned = sum(all.map((parts) => parts[part]));
    return planned === 0 ? 0 : Math.round(own[part] * (launched[part] / planned));
  };
  return {
    projections: share('projections'),
    attention: share('attention'),
    mlp: share('mlp'),
    lmHead: share('lmHead'),
  };
}

/**
 * The sessions of the generations that are under way, which end with their model. It does not keep them: those of a loop
 * over the steps that nobody goes on with are collected.
 */
export class OpenSessions {
  readonly #open = new Set<WeakRef<NativeSession>>();
  readonly #collected = new FinalizationRegistry<WeakRef<NativeSession>>((reference) =>
    this.#open.delete(reference),
  );
  #ended = false;

  add(session: NativeSession): void {
    if (this.#ended) {
      session.dispose();
    } else {
      const reference = new WeakRef(session);
      this.#open.add(reference);
      this.#collected.register(session, reference, session);
    }
  }

  delete(session: NativeSession): void {
    this.#collected.unregister(session);
    for (const reference of this.#open) {
      if (reference.deref() === session) this.#open.delete(reference);
    }
  }

  /** Disposes of all: the step that runs still ends, the next call of its generation is ERR_DISPOSED. */
  end(): void {
    this.#ended = true;
    for (const reference of this.#open) reference.deref()?.dispose();
    this.#open.clear();
  }
}

/** What a group runs on. */
export interface GroupContext {
  readonly generator: NativeGenerator;
  /** Where a model can be disposed of while generations are under way. */
  readonly sessions?: OpenSessions;
  /** Where batches and steps are counted. */
  readonly counters?: Counters;
}

export class Group {
  readonly #context: GroupContext;
  /** Those whose samples are in the session, in their order there. */
  #works: readonly Work[];
  /** Those of them that want no more. */
  readonly #gone = new Set<Work>();
  /** Those of these that the session computes nothing for any more. */
  readonly #abandoned = new Set<Work>();
  #session: NativeSession;
  #next = 0;
  /** After the step before, where it was read. */
  #state: NativeState | undefined;
  /** The next step, where it was asked for already. */
  #ahead: AskedStep | undefined;

  private constructor(context: GroupContext, works: readonly Work[], session: NativeSession) {
    this.#context = context;
    this.#works = works;
    this.#session = session;
    context.sessions?.add(session);
  }

  /** Works of one key. */
  static async open(context: GroupContext, works: readonly Work[]): Promise<Group> {
    const options = joined(works.map(({ session }) => session));
    const group = new Group(context, works, await context.generator.openSession(options));
    context.counters?.batch(options.classIds.length);
    return group;
  }

  /** Nothing is left to do: every step has run, or nobody is waiting for one. */
  get ended(): boolean {
    return (
      this.#next === this.#works[0]!.plan.steps.length || this.#gone.size === this.#works.length
    );
  }

  /**
   * This work wants no more steps. The next one computes nothing for it; its samples leave the session at the next refresh,
   * which needs nothing of the cache.
   */
  leave(work: Work): void {
    if (this.#works.includes(work)) this.#gone.add(work);
  }

  /**
   * Runs the next step, for every work that has not left. Where nobody looks at its tokens the one after it is asked for as
   * well, so that the thread that computes goes on at once and its others do not fall asleep.
   */
  async step(): Promise<ReadonlyMap<Work, WorkStep>> {
    const started = performance.now();
    const index = this.#next;
    const { refresh, width } = this.#works[0]!.plan.steps[index]!;
    if (this.#gone.size > 0 && this.#state && refresh) await this.#withoutThoseGone(this.#state);
    const { present, read, done } = this.#ahead ?? this.#ask(index);
    this.#ahead = read ? undefined : this.#ask(index + 1);
    this.#ahead?.done.catch(() => {}); // who awaits it hears of it
    const { flops: launched, ...tokens } = await done;
    ++this.#next;
    const seconds = (performance.now() - started) / 1000;
    this.#context.counters?.step(width.name, launched, seconds);
    this.#state = read ? (tokens as NativeState) : undefined;
    return this.#stepsOfAll(index, present, launched);
  }

  /** What a step that has run is to each work that it was run for. */
  #stepsOfAll(
    index: number,
    present: readonly Work[],
    launched: FlopsByPart,
  ): ReadonlyMap<Work, WorkStep> {
    const state = this.#state;
    const all = present.map(({ plan }) => plan.steps[index]!.parts);
    const steps = new Map<Work, WorkStep>();
    let [first, sample] = [0, 0];
    for (const work of this.#works) {
      const end = first + work.session.ids.length;
      const endSample = sample + work.session.classIds.length;
      const step = work.plan.steps[index]!;
      if (present.includes(work)) {
        steps.set(work, {
          step,
          parts: present.length === 1 ? launched : shareOf(launched, step.parts, all),
          state: state && {
            ids: state.ids.subarray(first, end),
            masked: state.masked.subarray(first, end),
            faults: state.faults.subarray(sample, endSample),
          },
        });
      }
      [first, sample] = [end, endSample];
    }
    return steps;
  }

  /** The last step is read, so there is one after each that is not. */
  #ask(index: number): AskedStep {
    const { refresh } = this.#works[0]!.plan.steps[index]!;
    const last = index === this.#works[0]!.plan.steps.length - 1;
    const read = last || this.#gone.size > 0 || this.#works.some(({ observed }) => observed);
    const abandoned = refresh ? [] : this.#abandon();
    const present = this.#works.filter((work) => !this.#abandoned.has(work));
    // What is thrown at once is thrown where this step is awaited, which is after the one before has ended.
    const done = (async () => this.#session.step(this.#stepOptions(index, abandoned, read)))();
    return { present, read, done };
  }

  /** The samples of those who have gone since the step before: from now on they cost nothing. */
  #abandon(): number[] {
    const samples: number[] = [];
    let sample = 0;
    for (const work of this.#works) {
      const count = work.session.classIds.length;
      if (this.#gone.has(work) && !this.#abandoned.has(work)) {
        for (let i = 0; i < count; ++i) samples.push(sample + i);
        this.#abandoned.add(work);
      }
      sample += count;
    }
    return samples;
  }

  #stepOptions(index: number, abandoned: readonly number[], read: boolean): NativeStepOptions {
    const { plan, confidence, topK } = this.#works[0]!;
    const step = plan.steps[index]!;
    const planned = this.#works
      .filter((work) => !this.#abandoned.has(work))
      .map((work) => work.plan.steps[index]!);
    const maskedAfter = this.#works.flatMap((work) => {
      const { maskedAfter } = work.plan.steps[index]!;
      return this.#abandoned.has(work) ? maskedAfter.map(() => 0) : maskedAfter;
    });
    return {
      heads: step.width.heads,
      hidden: step.width.hidden,
      refresh: step.refresh,
      allLogits: !plan.cache,
      activeRows: sum(planned.map(({ activeRows }) => activeRows)),
      logitsRows: sum(planned.map(({ logitsRows }) => logitsRows)),
      maskedAfter: Int32Array.from(maskedAfter),
      abandoned: Int32Array.from(abandoned),
      guidance: step.guidance,
      temperature: step.temperature,
      topK,
      choiceTemperature: step.choiceTemperature,
      confidence,
      step: step.step,
      read,
    };
  }

  /** Goes on in a session of those who are still there: at a refresh their tokens are all that it needs. */
  async #withoutThoseGone(state: NativeState): Promise<void> {
    const staying: Work[] = [];
    const sessions: NativeSessionOptions[] = [];
    let first = 0;
    for (const work of this.#works) {
      const end = first + work.session.ids.length;
      if (!this.#gone.has(work)) {
        const [ids, masked] = [state.ids.slice(first, end), state.masked.slice(first, end)];
        staying.push(work);
        sessions.push({ ...work.session, ids, masked });
      }
      first = end;
    }
    this.dispose();
    this.#session = await this.#context.generator.openSession(joined(sessions));
    this.#context.sessions?.add(this.#session);
    this.#works = staying;
    this.#gone.clear();
    this.#abandoned.clear();
  }

  dispose(): void {
    this.#context.sessions?.delete(this.#session);
    this.#session.dispose();
  }
}
