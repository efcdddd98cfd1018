// What a stream records and what it must not: settings of a step are in device memory, so other settings repeat what
// was recorded, and give what a session gives that never saw the ones before. Also the means for it: numbers that are
// put in the order of the stream, and scratch memory that recordings go on using.
#include <numeric>

#include "../../native/engine/session_pool.h"
#include "../native/check.h"
#include "../native/steps.h"
#include "emulation/emulator.h"
#include "large_weights.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kTokens = 12, kCodebook = 30, kClass = kCodebook, kNull = kCodebook + 1, kMask = kCodebook + 2;

/// A generation of two samples in three steps.
struct Request {
  std::string name;
  uint64_t seed = 1;
  SampleSettings settings{.guidance = 1, .temperature = 1, .top_k = 0, .choice_temperature = 2, .step = 0};
  std::vector<std::vector<int>> masked_after = {{9, 8}, {5, 4}, {0, 0}};
  bool refreshes_last = false;
  int last_hidden = 32;
};

struct Result {
  std::vector<std::vector<int32_t>> ids;  // after each step
  uint64_t recordings, graph_launches;
};

std::shared_ptr<SessionPool> pool_on(const Subject& subject) {
  const TransformerConfig layers{.layers = 1,
                                 .block = {.hidden_size = 16,
                                           .heads = 2,
                                           .head_dim = 16,
                                           .intermediate_size = 32,
                                           .norm_place = NormPlace::pre,
                                           .activation = Activation::gelu_tanh,
                                           .norm_eps = 1e-6f}};
  LargeWeights weights;
  return std::make_shared<SessionPool>(load_model<Generator>(
      std::shared_ptr<Backend>(subject.open()),
      GeneratorConfig{
          .transformer = layers, .codebook_size = kCodebook, .vocab_size = kMask + 1, .token_count = kTokens},
      weights, subject.formats()[0]));
}

SessionOptions options_of(const Request& request) {
  return {.ids = std::vector<int32_t>(2 * kTokens, kMask),
          .masked = std::vector<uint8_t>(2 * kTokens, 1),
          .turns = {},
          .class_ids = {kClass, kClass},
          .null_class_id = kNull,
          .sample_numbers = {0, 1},
          .seeds = {request.seed, request.seed}};
}

Result run(SessionPool& pool, const Request& request) {
  const SessionOptions options = options_of(request);
  const auto session = pool.open(options);
  MaskedCounts counts(options);
  Result result{};
  emulator::counters = {};
  for (size_t i = 0; i < request.masked_after.size(); ++i) {
    const bool last = i + 1 == request.masked_after.size();
    const Width width{2, last ? request.last_hidden : 32};
    SampleSettings settings = request.settings;
    settings.step += static_cast<uint32_t>(i);
    session->step(
        counts.step(width, i == 0 || (last && request.refreshes_last), false, request.masked_after[i], settings));
    result.ids.push_back(session->ids());
  }
  result.recordings = emulator::counters.recordings;
  result.graph_launches = emulator::counters.graph_launches;
  return result;
}

void settings_record_nothing_new(const Subject& subject) {
  const auto pool = pool_on(subject);
  const Result first = run(*pool, {});
  check(first.recordings == 3 && first.graph_launches == 3, "three steps are recorded");

  std::vector<Request> others;
  const auto other = [&](const std::string& name) -> Request& {
    others.emplace_back();
    others.back().name = name;
    return others.back();
  };
  other("seed").seed = 2;
  other("temperature").settings.temperature = 0.25f;
  other("guidance").settings.guidance = 8;
  other("top_k").settings.top_k = 2;
  other("choice temperature").settings.choice_temperature = 0;
  other("step number").settings.step = 7;
  other("masked counts of equal totals").masked_after = {{8, 9}, {5, 4}, {0, 0}};
  other("masked counts of the later step").masked_after = {{9, 8}, {4, 5}, {0, 0}};
  for (const Request& request : others) {
    const Result repeated = run(*pool, request), fresh = run(*pool_on(subject), request);
    check(repeated.recordings == 0 && repeated.graph_launches == 3, "another " + request.name + " records nothing");
    check(repeated.ids == fresh.ids, "another " + request.name + " gives what a fresh session gives");
    check(fresh.ids != first.ids, "another " + request.name + " changes the samples");
  }
  check(run(*pool, {}).ids == first.ids, "the first settings again");
}

/// The host gets ahead of the device by no more than a step that runs and one that is there when it ends.
void few_steps_are_under_way(const Subject& subject) {
  const auto pool = pool_on(subject);
  const SessionOptions options = options_of({});
  const auto session = pool->open(options);
  MaskedCounts counts(options);
  const std::vector<std::vector<int>> masked_after = {{11, 11}, {9, 9}, {7, 7}, {4, 4}, {0, 0}};
  std::vector<uint64_t> launches;  // of each step; they are counted when they run
  for (size_t i = 0; i < masked_after.size(); ++i) {
    emulator::counters.launches = 0;
    session->step(counts.step({2, 32}, i == 0, false, masked_after[i], {.guidance = 1, .temperature = 1, .step = 0}));
    launches.push_back(emulator::counters.launches);
  }
  check(launches[0] == 0 && launches[1] == 0, "two steps are asked for without waiting");
  for (size_t i = 2; i < launches.size(); ++i) check(launches[i] > 0, "the next waits for the one before the last");
  emulator::counters.launches = 0;
  session->ids();
  check(emulator::counters.launches > launches.back() && emulator::counters.launches < 3 * launches.back(),
        "two are left at the end");
}

void shapes_record_anew(const Subject& subject) {
  const auto pool = pool_on(subject);
  run(*pool, {});
  Request refreshes{.name = "a refresh"}, narrower{.name = "another width"}, fewer{.name = "fewer masked positions"};
  refreshes.refreshes_last = true;
  narrower.refreshes_last = true;
  narrower.last_hidden = 20;
  fewer.masked_after = {{9, 8}, {5, 3}, {0, 0}};
  for (const Request& request : {refreshes, narrower, fewer}) {
    const Result recorded = run(*pool, request);
    check(recorded.recordings == 1, request.name + " is recorded");
    check(recorded.ids == run(*pool_on(subject), request).ids, request.name + " gives what a fresh session gives");
  }
}

/// Operations apply a norm by way of scratch memory. It grows after a step was recorded that uses it.
void recordings_keep_their_scratch(const Subject& subject) {
  constexpr int kIn = 24, kOut = 16;
  const auto backend = subject.open();
  const auto stream = backend->stream();
  Random random(3);
  const RandomNorm norm(*backend, *stream, random, kIn);
  const auto layer = backend->linear({to_floats(random.matrix(kOut, kIn)).data(), DType::f32, kOut, kIn}, nullptr,
                                     subject.formats()[0]);
  const reference::Matrix values = random.matrix(60, kIn);
  Guarded x(*backend, *stream, values), y(*backend, *stream, reference::Matrix(60, kOut));
  const auto multiply = [&](int rows) {
    stream->replay({.heads = 1, .hidden = 1, .rows = rows}, [&](const StepShape& shape) {
      stream->run(Matmul{
          .layer = *layer, .out = kOut, .in = kIn, .x = {*x.buffer, &norm.norm}, .rows = shape.rows, .y = *y.buffer});
    });
    return y.read(*stream, 60, kOut, "scratch");
  };
  const auto few = multiply(3);
  const auto many = multiply(60);
  check(std::equal(few.begin(), few.begin() + 3 * y.columns, many.begin()), "few rows are the first of many");
  // Other numbers, so that what is left of the products before is no answer.
  const reference::Matrix others = random.matrix(60, kIn);
  stream->upload(to_floats(others).data(), 60, kIn, *x.buffer);
  const auto again_few = multiply(3), again_many = multiply(60);
  check(std::equal(again_few.begin(), again_few.begin() + 3 * y.columns, again_many.begin()) && again_few != few,
        "a recording goes on with its scratch after a larger one");
}

/// Few samples, then so many that drawing and revealing them takes more tickets, then the few again.
void recordings_keep_their_tickets(const Subject& subject) {
  constexpr int kMost = 9, kCodes = 4;  // more samples than multiprocessors
  const auto backend = subject.open();
  const auto stream = backend->stream();
  const auto list = [&](const auto& number) {
    std::vector<int32_t> numbers(kMost + 1);
    for (int i = 0; i <= kMost; ++i) numbers[i] = number(i);
    return upload_new(*backend, *stream, ElementType::i32, 1, kMost + 1, numbers);
  };
  const auto column = [&](ElementType type, const auto& value) {
    return upload_new(*backend, *stream, type, kMost, 1, std::vector(kMost, value));
  };
  // A token a sample, after its class; the codes in turn are the most likely ones.
  const auto index = list([](int sample) { return 2 * sample + 1; }), rows = list([](int row) { return row; });
  const auto masked_after = list([](int) { return 0; });
  std::vector<float> values(kMost * kCodes);
  for (int sample = 0; sample < kMost; ++sample) values[sample * kCodes + sample % kCodes] = 1;
  const auto logits = upload_new(*backend, *stream, ElementType::f32, kMost, kCodes, values);
  const auto state = column(ElementType::u8, uint8_t{kMasked});
  const auto ids = column(ElementType::i32, int32_t{-1}), tokens = column(ElementType::i32, int32_t{-1}),
             faults = column(ElementType::i32, kNoFault);
  const auto confidence = column(ElementType::f32, 0.0f);
  const auto settings = upload_new(*backend, *stream, ElementType::i32, 1, kSampleSettingsWords,
                                   std::vector<int32_t>(kSampleSettingsWords));  // a temperature of 0
  const auto noise_keys = upload_new(*backend, *stream, ElementType::i32, 3, kMost, std::vector<int32_t>(3 * kMost));
  for (const int samples : {3, kMost, 3}) {
    const std::vector<uint8_t> masked(kMost, kMasked);
    stream->upload(masked.data(), kMost, 1, *state);
    stream->replay({.heads = 1, .hidden = 1, .rows = samples}, [&](const StepShape& shape) {
      const int count = shape.rows;
      stream->run(
          Sample{
              .logits = *logits,
              .rows = {.index = *index, .offsets = *rows, .branches = count, .positions = 2, .count = count, .most = 1},
              .logits_rows = *rows,
              .logits_offsets = *rows,
              .logits_count = count,
              .state = *state,
              .noise_keys = *noise_keys,
              .settings = *settings,
              .samples = count,
              .codebook_size = kCodes,
              .guided = false,
              .tokens = *tokens,
              .confidence = *confidence,
              .faults = *faults},
          Reveal{.tokens = *tokens,
                 .confidence = *confidence,
                 .masked_after = *masked_after,
                 .samples = count,
                 .token_count = 1,
                 .ids = *ids,
                 .state = *state});
    });
    std::vector<int32_t> drawn(kMost);
    std::vector<uint8_t> after(kMost);
    stream->download(*ids, kMost, 1, drawn.data());
    stream->download(*state, kMost, 1, after.data());
    for (int sample = 0; sample < samples; ++sample) {
      check(drawn[sample] == sample % kCodes && after[sample] == kRevealed, "a token of every sample is revealed");
    }
  }
}

void puts_in_order(const Subject& subject) {
  const auto backend = subject.open();
  const auto stream = backend->stream();
  const auto buffer = [&](int columns) {
    return upload_new(*backend, *stream, ElementType::i32, 1, columns, std::vector<int32_t>(columns, -9));
  };
  const auto numbers = [](int count, int first) {
    std::vector<int32_t> values(count);
    std::iota(values.begin(), values.end(), first);
    return values;
  };
  const auto read = [&](const Buffer& from, int columns) {
    std::vector<int32_t> values(columns);
    stream->download(from, 1, columns, values.data());
    return values;
  };
  // More than one launch takes, and targets that end in the middle of one.
  const auto small = buffer(3), large = buffer(2502), empty = buffer(1);
  {
    const std::vector<int32_t> two = numbers(2, 5), none, many = numbers(2500, 100);
    stream->put({{two, *small}, {none, *empty}, {many, *large}});
  }  // the values are gone
  std::vector<int32_t> expected = numbers(2500, 100);
  expected.insert(expected.end(), 2, -9);
  check(read(*small, 3) == std::vector<int32_t>{5, 6, -9}, "put two numbers");
  check(read(*large, 2502) == expected, "put 2500 numbers");
  check(read(*empty, 1) == std::vector<int32_t>{-9}, "put nothing");

  // Ten targets at once.
  std::vector<std::unique_ptr<Buffer>> ten;
  for (int i = 0; i < 10; ++i) ten.push_back(buffer(1));
  const std::vector<int32_t> a = {1}, b = {2};
  stream->put({{a, *ten[0]},
               {b, *ten[1]},
               {a, *ten[2]},
               {b, *ten[3]},
               {a, *ten[4]},
               {b, *ten[5]},
               {a, *ten[6]},
               {b, *ten[7]},
               {a, *ten[8]},
               {b, *ten[9]}});
  for (int i = 0; i < 10; ++i) check(read(*ten[i], 1)[0] == 1 + i % 2, "put to ten targets");

  // What was asked for before sees the numbers before.
  Guarded x(*backend, *stream, Random(4).matrix(5, 8)), y(*backend, *stream, reference::Matrix(3, 8));
  const auto index = buffer(3);
  std::vector<float> rows[2];
  const std::vector<int32_t> lists[2] = {{0, 1, 2}, {4, 3, 2}};
  for (int i = 0; i < 2; ++i) {
    stream->put({{lists[i], *index}});
    stream->run(Gather{.x = {*x.buffer}, .index = *index, .count = 3, .columns = 8, .y = *y.buffer});
    if (i == 0) stream->put({{lists[1], *index}});
    rows[i] = y.read(*stream, 3, 8, "put before and after");
  }
  check(rows[0] != rows[1], "an operation sees the numbers that were put before it");
}

}  // namespace

int main() {
  const auto& all = subjects(Variety::types);
  for (const auto& subject : all) {
    settings_record_nothing_new(*subject);
    shapes_record_anew(*subject);
    few_steps_are_under_way(*subject);
  }
  recordings_keep_their_scratch(*all[0]);
  recordings_keep_their_tickets(*all[0]);
  puts_in_order(*all[0]);
  return report("recordings");
}
