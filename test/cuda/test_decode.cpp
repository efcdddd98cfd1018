// A whole small model decoded by the CUDA backend, beside the CPU backend in f32 that is forced to the same tokens: the
// logits of every step are as near as the plain computation in the same type comes, and the tokens are those that the
// CPU's logits would have given, up to ties within that distance. Also: what reuse must not change, and that running
// out of memory is an error like others.
#include <algorithm>
#include <cmath>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/session_pool.h"
#include "../native/check.h"
#include "../native/generations.h"
#include "../native/steps.h"
#include "device_hooks.h"
#include "large_weights.h"
#include "precision.h"
#include "rounding_backend.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kTokens = 24;

GeneratorConfig config_of(Style style) {
  const int head_dim = style == Style::modulated ? 7 : style == Style::pre ? 85 : 24;
  // Vectors of 74 numbers begin at no multiple of 16 bytes.
  const int hidden_size = style == Style::modulated ? 74 : 72;
  GeneratorConfig config = config_of(
      style,
      {.tokens = kTokens, .hidden_size = hidden_size, .heads = 4, .head_dim = head_dim, .intermediate_size = 160});
  if (style == Style::modulated) config.head_weights = HeadWeights::own;
  return config;
}

std::shared_ptr<const Generator> generator_of(const std::shared_ptr<Backend>& backend, Style style,
                                              WeightFormat format) {
  LargeWeights weights;
  return load_model<Generator>(backend, config_of(style), weights, format);
}

SessionOptions options_of(int samples, int first, bool guided, Style style = Style::post) {
  return all_masked(style, kTokens, samples, first, guided);
}

const std::vector<Width> kWidths = {{1, 20}, {1, 20}, {2, 40}, {3, 101}, {4, 160}, {4, 160}, {4, 160}};
const std::vector<int> kMaskedAfter = {23, 21, 18, 13, 8, 3, 0};
const int kSteps = static_cast<int>(kWidths.size());

Step step_of(int i, MaskedCounts& counts, bool cached, std::vector<int> masked_after) {
  return counts.step(kWidths[i], !cached || i == 0 || !(kWidths[i] == kWidths[i - 1]), !cached, std::move(masked_after),
                     {.guidance = 1.5f,
                      .temperature = 1,
                      .top_k = i == 2 ? 5 : 0,
                      .choice_temperature = 1.0f * (kSteps - 1 - i),
                      .step = static_cast<uint32_t>(i)});
}
Step step_of(int i, MaskedCounts& counts) {
  return step_of(i, counts, true, std::vector<int>(counts.masked.size(), kMaskedAfter[i]));
}

/// The logits rows of masked positions, of those alone that became known.
std::vector<float> of_drawn(const std::vector<float>& logits, const std::vector<uint8_t>& masked,
                            const std::vector<int32_t>& drawn, int branches, int columns) {
  std::vector<float> own;
  auto row = logits.begin();
  for (int branch = 0; branch < branches; ++branch) {
    for (size_t i = 0; i < masked.size(); ++i) {
      if (!masked[i]) continue;
      if (drawn[i] >= 0) own.insert(own.end(), row, row + columns);
      row += columns;
    }
  }
  return own;
}

/// `in_turns`: positions are revealed in an order of their own.
void decodes_like_the_cpu(const Subject& subject, Style style, bool guided, bool cached, bool in_turns = false) {
  constexpr int kSamples = 2;
  constexpr const char* kNames[] = {"", ", pre-norm", ", untied", ", modulated"};
  const std::string what = subject.name() + kNames[static_cast<int>(style)] + (guided ? ", guided" : "") +
                           (cached ? ", cached" : ", no cache") + (in_turns ? ", in turns" : "");
  const WeightFormat format = subject.formats()[0];
  SessionOptions options = options_of(kSamples, 0, guided, style);
  options.ids[3] = 7;  // one token of the first sample is given
  options.masked[3] = 0;
  SessionOptions own_options = options;
  if (in_turns) {
    own_options.turns.resize(kSamples * kTokens);
    for (int i = 0; i < kTokens; ++i) own_options.turns[kTokens + 5 * i % kTokens] = i;
    for (int i = 0; i < kTokens; ++i) own_options.turns[i] = i < 3 ? i : i - 1;  // but for the one that is given
  }
  Session cuda(generator_of(subject.open(), style, format), own_options);
  Session exact(generator_of(cpu::open_cpu(1, ""), style, kF32), options);
  Session plain(generator_of(open_rounding(compute_of(format)), style, format), options);
  MaskedCounts counts(own_options);

  for (int i = 0; i < kSteps; ++i) {
    const std::string at = what + ", step " + std::to_string(i);
    const std::vector<uint8_t> before = cuda.masked();
    const Step step = step_of(i, counts, cached, {std::min(kMaskedAfter[i], kTokens - 1 - 1 - i / 2), kMaskedAfter[i]});
    cuda.step(step);
    const std::vector<int32_t> drawn = revealed_ids(cuda, before);
    for (Session* forced : {&exact, &plain}) {
      forced->compute(step.width, step.refresh, step.all_logits);
      forced->reveal(drawn);
    }
    check(in_turns || cuda.flops() == exact.flops(), at + ": FLOPs");
    const std::vector<float> logits = exact.logits();
    // The same roundings in another order: the largest of many errors may come out a few times another's.
    const double bound = 3 * distance(plain.logits(), logits) + 1e-5;
    const bool few = in_turns && cached;
    const int columns = config_of(style).logits_columns();
    const double error =
        distance(cuda.logits(), few ? of_drawn(logits, before, drawn, guided ? 2 : 1, columns) : logits);
    check(error <= bound, at + ": logits off by " + std::to_string(error) + ", bound " + std::to_string(bound));

    // Logits rows: with the cache the masked positions, else every position; conditional ones first.
    const int conditional_rows = exact.logits_rows() / (guided ? 2 : 1);
    int row = 0;
    for (int sample = 0; sample < kSamples; ++sample) {
      for (int position = cached ? 1 : 0; position <= kTokens; ++position) {
        const int token = position - 1;
        const bool masked = position > 0 && before[sample * kTokens + token];
        if (cached && !masked) continue;
        const auto logits_of = [&](int row) {
          const auto first = logits.begin() + static_cast<long>(row) * columns;
          return std::vector<double>(first, first + kCodebook);
        };
        const std::vector<double> conditional = logits_of(row);
        const std::vector<double> unconditional = guided ? logits_of(conditional_rows + row) : std::vector<double>();
        ++row;
        const int32_t own = masked ? drawn[sample * kTokens + token] : -1;
        if (in_turns && masked) {
          const bool due = own_options.turns[sample * kTokens + token] >= step.masked_after[sample];
          check(due == (own >= 0), at + ": revealed out of turn");
        }
        // The edge of the top k may lie within the bound.
        if (own < 0 || step.settings.top_k > 0) continue;
        const auto scores =
            reference::sample(conditional, unconditional, step.settings, token, options.sample_numbers[sample], kSeed);
        const double best = *std::max_element(scores.choice.begin(), scores.choice.end());
        const double margin = 2 * bound * (guided ? 1 + 2 * step.settings.guidance : 1) / step.settings.temperature;
        check(scores.choice[own] >= best - margin, at + ": another token");
      }
    }
  }
}

History decode(Session& session, const SessionOptions& options) {
  History history;
  MaskedCounts counts(options);
  for (int i = 0; i < kSteps; ++i) {
    session.step(step_of(i, counts));
    history.push_back(session.ids());
  }
  return history;
}

/// Steps asked for one after the other without a look between them, and recorded ones, give the same bits.
void repeats(const Subject& subject, Style style) {
  const auto pool = std::make_shared<SessionPool>(generator_of(subject.open(), style, subject.formats()[0]));
  const SessionOptions one_batch = options_of(2, 0, true, style), other_batch = options_of(2, 7, true, style);
  const auto looked = decode(*pool->open(one_batch), one_batch);
  const auto other = decode(*pool->open(other_batch), other_batch);  // recorded before: other samples, the same plan
  check(looked != other, "samples differ");
  const auto session = pool->open(one_batch);
  const Flops none = session->flops();
  MaskedCounts counts(one_batch);
  for (int i = 0; i < kSteps; ++i) session->step(step_of(i, counts));
  check(session->ids() == looked.back(), "steps without a look");
  check(none == Flops(), "a session that starts again has done nothing");

  // Two sessions that take turns.
  const auto one = pool->open(one_batch), two = pool->open(other_batch);
  MaskedCounts one_counts(one_batch), two_counts(other_batch);
  for (int i = 0; i < kSteps; ++i) {
    one->step(step_of(i, one_counts));
    two->step(step_of(i, two_counts));
  }
  check(one->ids() == looked.back() && two->ids() == other.back(), "sessions beside each other");
}

/// Between two steps a sample is abandoned: no row of it is computed any more, and the others do not notice.
void who_is_abandoned_costs_nothing(const Subject& subject) {
  constexpr int kFrom = 5;  // the second step at its width: no refresh
  const auto generator = generator_of(subject.open(), Style::post, subject.formats()[0]);
  const SessionOptions options = options_of(3, 0, true);
  Session whole(generator, options), left(generator, options);
  const History expected = decode(whole, options);
  MaskedCounts counts(options);
  for (int i = 0; i < kSteps; ++i) {
    std::vector<int> masked_after(3, kMaskedAfter[i]);
    if (i == kFrom) counts.masked[1] = counts.revealed[1] = 0;
    if (i >= kFrom) masked_after[1] = 0;
    Step step = step_of(i, counts, true, std::move(masked_after));
    if (i == kFrom) step.abandoned = {1};
    left.step(step);  // refuses rows that are not those of the two who stay
  }
  const std::vector<int32_t> ids = left.ids();
  for (int i = 0; i < 3 * kTokens; ++i) {
    const bool abandoned = i / kTokens == 1;
    check(ids[i] == expected[abandoned ? kFrom - 1 : kSteps - 1][i], "token " + std::to_string(i));
  }
}

void runs_out_of_memory_politely(const Subject& subject) {
  const auto pool = std::make_shared<SessionPool>(generator_of(subject.open(), Style::pre, subject.formats()[0]));
  const SessionOptions options = options_of(1, 0, false);
  const auto expected = decode(*pool->open(options), options);
  std::string message;
  {
    const LittleMemory little;
    message = error_of([&] { pool->open(options_of(4096, 0, false)); });
  }
  check(message.find("ERR_OUT_OF_MEMORY") == 0 && message.find("bytes on cuda:0") != std::string::npos,
        "out of memory: " + message);
  check(decode(*pool->open(options), options) == expected, "goes on after it ran out of memory");
}

void refuses(const Subject& subject) {
  const auto backend = subject.open();
  const std::string head_dim = error_of([&] { backend->kv_cache(1, 1, 1, 513, 4); });
  check(head_dim == "ERR_UNSUPPORTED Expected at most 512 for head_dim on a CUDA device but received 513",
        "head_dim 513: " + head_dim);
  const auto stream = backend->stream();
  const std::vector<float> ones(4096, 1.0f);
  const auto many = upload_new(*backend, *stream, ElementType::f32, 1, 4096, ones);
  const Norm norm{upload_new(*backend, *stream, ElementType::f32, 1, 4096, ones),
                  upload_new(*backend, *stream, ElementType::f32, 1, 4096, ones), 1e-6f};
  const std::string channels = error_of([&] {
    stream->run(GroupStatistics{
        .x = *many, .grid = {1, 1, 1}, .channels = 4096, .groups = 8, .norm = norm, .scale_shift = *many});
  });
  check(channels ==
            "ERR_UNSUPPORTED Expected at most 2048 channels under a group norm on a CUDA device but received 4096",
        "4096 channels: " + channels);
  const float weight = 1;
  const HostMatrix matrix{&weight, DType::f32, 1, 1};
  const std::string end = ", the type that the CUDA device computes in, for weights but received f32";
  for (const std::string& message :
       {error_of([&] { backend->linear(matrix, nullptr, kF32); }), error_of([&] { backend->table(matrix, kF32); })}) {
    check(message.find("ERR_UNSUPPORTED Expected ") == 0 && message.find(end) != std::string::npos,
          "weights in f32: " + message);
  }
}

}  // namespace

int main() {
  // Of the devices the first two differ by the type alone; on the last, products normalize their own sums.
  const auto& all = subjects(Variety::devices);
  decodes_like_the_cpu(*all[0], Style::post, true, true);
  decodes_like_the_cpu(*all[0], Style::pre, false, false);
  decodes_like_the_cpu(*all[1], Style::pre, true, true);
  decodes_like_the_cpu(*all[0], Style::modulated, false, false);
  decodes_like_the_cpu(*all[1], Style::modulated, true, true);
  decodes_like_the_cpu(*all[0], Style::post, true, true, true);
  decodes_like_the_cpu(*all[1], Style::pre, false, false, true);
  decodes_like_the_cpu(*all.back(), Style::post, true, true);
  for (const Style style : {Style::post, Style::modulated}) repeats(*all[0], style);
  for (const auto* subject : {all[0].get(), all.back().get()}) who_is_abandoned_costs_nothing(*subject);
  runs_out_of_memory_politely(*all[0]);
  refuses(*all[0]);
  return report("decode");
}
