// A whole small model decoded by the CUDA backend, beside the CPU backend in f32 that is forced to the same tokens: the
// logits of every step are as near as the plain computation in the same type comes, and the tokens are those that the
// CPU's logits would have given, up to ties within that distance. Also: what recording and reuse must not change, and
// that running out of memory is an error like others.
#include <algorithm>
#include <cmath>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/engine/session_pool.h"
#include "../../native/engine/tokenizer.h"
#include "../native/check.h"
#include "device_hooks.h"
#include "rounding_backend.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kTokens = 24, kClasses = 3, kCodebook = 50, kNull = kCodebook + kClasses, kMask = kNull + 1;
constexpr uint64_t kSeed = 42;

GeneratorConfig config_of(bool pre_norm) {
  return {.transformer = {.layers = 2,
                          .hidden_size = 72,
                          .heads = 4,
                          .head_dim = 24,
                          .intermediate_size = 160,
                          .pre_norm = pre_norm,
                          .gelu_tanh = pre_norm,
                          .layer_norm_eps = 1e-6f},
          .codebook_size = kCodebook,
          .vocab_size = kMask + 1,
          .tokens = kTokens};
}

/// Weights large enough that logits differ: the random ones of a benchmark give nearly uniform logits.
class LargeWeights : public WeightSource {
 public:
  HostMatrix get(const std::string& name, int rows, int columns) override {
    const HostMatrix small = random_.get(name, rows, columns);
    if (name.find("norm") != std::string::npos) return small;
    const auto* from = static_cast<const float*>(small.data);
    values_.assign(from, from + static_cast<size_t>(rows) * columns);
    for (float& value : values_) value *= 8;
    return {values_.data(), DType::f32, rows, columns};
  }

 private:
  RandomWeights random_{11};
  std::vector<float> values_;
};

std::shared_ptr<const Generator> generator_of(std::shared_ptr<Backend> backend, bool pre_norm, DType dtype) {
  LargeWeights weights;
  return std::make_shared<const Generator>(std::move(backend), config_of(pre_norm), weights, dtype);
}

SessionOptions options_of(int samples, int first, bool guided) {
  SessionOptions options;
  options.ids.assign(samples * kTokens, kMask);
  options.masked.assign(samples * kTokens, 1);
  for (int i = first; i < first + samples; ++i) {
    options.class_ids.push_back(kCodebook + i % kClasses);
    options.sample_keys.push_back(i);
  }
  if (guided) options.null_class_id = kNull;
  options.seed = kSeed;
  return options;
}

const std::vector<Width> kWidths = {{1, 20}, {1, 20}, {2, 40}, {3, 101}, {4, 160}, {4, 160}, {4, 160}};
const std::vector<int> kMaskedAfter = {23, 21, 18, 13, 8, 3, 0};
const int kSteps = static_cast<int>(kWidths.size());

Step step_of(int i, int samples, bool cached) {
  return {.width = kWidths[i],
          .refresh = !cached || i == 0 || !(kWidths[i] == kWidths[i - 1]),
          .head_all = !cached,
          .masked_after = std::vector<int>(samples, kMaskedAfter[i]),
          .sampling = {.codebook_size = 0,
                       .guided = false,
                       .guidance = 1.5f,
                       .temperature = 1,
                       .top_k = i == 2 ? 5 : 0,
                       .choice_temperature = 1.0f * (kSteps - 1 - i),
                       .step = static_cast<uint32_t>(i)}};
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double most = a.size() == b.size() ? 0 : INFINITY;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    const double one = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(one <= most)) most = one;
  }
  return most;
}

/// What became known between two states, and -1 elsewhere.
std::vector<int32_t> revealed(Session& session, const std::vector<uint8_t>& masked_before) {
  std::vector<int32_t> ids = session.ids();
  const std::vector<uint8_t> masked = session.masked();
  for (size_t i = 0; i < ids.size(); ++i) {
    if (masked[i] || !masked_before[i]) ids[i] = -1;
  }
  return ids;
}

void decodes_like_the_cpu(const Subject& subject, bool pre_norm, bool guided, bool cached) {
  constexpr int kSamples = 2;
  const std::string what = subject.name() + (pre_norm ? ", pre-norm" : "") + (guided ? ", guided" : "") +
                           (cached ? ", cached" : ", no cache");
  const DType dtype = subject.dtypes()[0];
  SessionOptions options = options_of(kSamples, 0, guided);
  options.ids[3] = 7;  // one token of the first sample is given
  options.masked[3] = 0;
  Session cuda(generator_of(subject.open(), pre_norm, dtype), options);
  Session exact(generator_of(cpu::open_cpu(1, ""), pre_norm, DType::f32), options);
  Session plain(generator_of(open_rounding(dtype), pre_norm, dtype), options);

  for (int i = 0; i < kSteps; ++i) {
    const std::string at = what + ", step " + std::to_string(i);
    const std::vector<uint8_t> before = cuda.masked();
    Step step = step_of(i, kSamples, cached);
    step.masked_after[0] = std::min(kMaskedAfter[i], kTokens - 1 - 1 - i / 2);
    cuda.step(step);
    step.forced = revealed(cuda, before);
    exact.step(step);
    plain.step(step);
    check(cuda.flops().by_part == exact.flops().by_part, at + ": FLOPs");
    const std::vector<float> logits = exact.logits();
    // The same roundings in another order: the largest of many errors may come out a few times another's.
    const double bound = 3 * distance(plain.logits(), logits) + 1e-5;
    const double error = distance(cuda.logits(), logits);
    check(error <= bound, at + ": logits off by " + std::to_string(error) + ", bound " + std::to_string(bound));

    // Rows of the head: with the cache the masked positions, else every position; conditional ones first.
    const int conditional = exact.head_rows() / (guided ? 2 : 1);
    const int vocabulary = kMask + 1;
    int row = 0;
    for (int sample = 0; sample < kSamples; ++sample) {
      for (int position = cached ? 1 : 0; position <= kTokens; ++position) {
        const int token = position - 1;
        const bool masked = position > 0 && before[sample * kTokens + token];
        if (cached && !masked) continue;
        const auto with = logits.begin() + static_cast<long>(row) * vocabulary;
        const auto without = logits.begin() + (guided ? conditional + row : row) * static_cast<long>(vocabulary);
        ++row;
        const int32_t drawn = masked ? step.forced[sample * kTokens + token] : -1;
        if (drawn < 0) continue;
        Sampling sampling = step.sampling;
        sampling.codebook_size = kCodebook;
        sampling.guided = guided;
        sampling.top_k = 0;  // the edge of the top k may lie within the bound; its scores do not change
        const auto scores = reference::sample({with, with + kCodebook}, {without, without + kCodebook}, sampling, token,
                                              options.sample_keys[sample], kSeed);
        double best = -INFINITY;
        for (const double score : scores.choice) best = std::max(best, score);
        const double margin = 2 * bound * (guided ? 1 + 2 * sampling.guidance : 1) / sampling.temperature;
        if (step.sampling.top_k == 0) check(scores.choice[drawn] >= best - margin, at + ": another token");
      }
    }
  }
}

using History = std::vector<std::vector<int32_t>>;

History decode(Session& session) {
  History history;
  for (int i = 0; i < kSteps; ++i) {
    session.step(step_of(i, session.samples(), true));
    history.push_back(session.ids());
  }
  return history;
}

/// Steps asked for one after the other without a look between them, and recorded ones, give the same bits.
void repeats(const Subject& subject) {
  const auto pool = std::make_shared<SessionPool>(generator_of(subject.open(), false, subject.dtypes()[0]));
  const auto looked = decode(*pool->open(options_of(2, 0, true)));
  const auto other = decode(*pool->open(options_of(2, 7, true)));  // recorded before: other samples, the same plan
  check(looked != other, "samples differ");
  const auto session = pool->open(options_of(2, 0, true));
  const Flops none = session->flops();
  for (int i = 0; i < kSteps; ++i) session->step(step_of(i, 2, true));
  check(session->ids() == looked.back(), "steps without a look");
  check(none.by_part == Flops().by_part, "a session that starts again has done nothing");

  // Two sessions that take turns.
  const auto one = pool->open(options_of(2, 0, true)), two = pool->open(options_of(2, 7, true));
  for (int i = 0; i < kSteps; ++i) {
    one->step(step_of(i, 2, true));
    two->step(step_of(i, 2, true));
  }
  check(one->ids() == looked.back() && two->ids() == other.back(), "sessions beside each other");
}

void tokenizes_like_the_cpu(const Subject& subject) {
  const TransformerConfig layers{.layers = 1,
                                 .hidden_size = 40,
                                 .heads = 2,
                                 .head_dim = 16,
                                 .intermediate_size = 64,
                                 .pre_norm = true,
                                 .gelu_tanh = false,
                                 .layer_norm_eps = 1e-6f};
  const TokenizerConfig config{.encoder = layers,
                               .decoder = layers,
                               .codebook_size = 30,
                               .codebook_dim = 6,
                               .sample = {2, 9, 6},
                               .patch = {1, 3, 3},
                               .channels = 1};
  const DType dtype = subject.dtypes()[0];
  const auto open = [&](std::shared_ptr<Backend> backend, DType kept) {
    LargeWeights weights;
    return Tokenizer(std::move(backend), config, weights, kept);
  };
  const Tokenizer cuda = open(subject.open(), dtype), exact = open(cpu::open_cpu(1, ""), DType::f32),
                  plain = open(open_rounding(dtype), dtype);
  Random random(5);
  std::vector<float> pixels(3 * config.sample_size());
  for (float& pixel : pixels) pixel = static_cast<float>(0.5 + 0.5 * random.value());
  Flops flops, expected;
  const auto tokens = exact.encode(pixels, 3, expected);
  const auto own = cuda.encode(pixels, 3, flops);
  int same = 0;
  for (size_t i = 0; i < tokens.size(); ++i) same += own[i] == tokens[i];
  check(same * 10 >= static_cast<int>(tokens.size()) * 9, "tokens, but for near ties: " + std::to_string(same));
  const auto decoded = exact.decode(tokens, 3, expected);
  const double bound = 3 * distance(plain.decode(tokens, 3, flops), decoded) + 1e-6;
  flops = {};
  cuda.encode(pixels, 3, flops);
  const double error = distance(cuda.decode(tokens, 3, flops), decoded);
  check(error <= bound, "pixels off by " + std::to_string(error) + ", bound " + std::to_string(bound));
  check(flops.by_part == expected.by_part, "FLOPs of the tokenizer");
}

void runs_out_of_memory_politely(const Subject& subject) {
  const auto pool = std::make_shared<SessionPool>(generator_of(subject.open(), false, subject.dtypes()[0]));
  const auto expected = decode(*pool->open(options_of(1, 0, false)));
  std::string code, message;
  {
    const LittleMemory little;
    try {
      pool->open(options_of(4096, 0, false));
    } catch (const Error& error) {
      code = error.code;
      message = error.what();
    }
  }
  check(code == "ERR_OUT_OF_MEMORY" && message.find("bytes on cuda:0") != std::string::npos,
        "out of memory: " + message);
  check(decode(*pool->open(options_of(1, 0, false))) == expected, "goes on after it ran out of memory");
}

void refuses(const Subject& subject) {
  std::string message;
  try {
    subject.open()->kv_cache(1, 1, 1, 12, 4);
  } catch (const Error& error) {
    message = error.code + " " + error.what();
  }
  check(message.find("ERR_UNSUPPORTED expected a head_dim that divides by 8") == 0, "head_dim 12: " + message);
}

}  // namespace

int main() {
  const auto& all = subjects(Variety::types);
  decodes_like_the_cpu(*all[0], false, true, true);
  decodes_like_the_cpu(*all[0], true, false, false);
  decodes_like_the_cpu(*all[1], true, true, true);
  repeats(*all[0]);
  for (const auto& subject : all) tokenizes_like_the_cpu(*subject);
  runs_out_of_memory_politely(*all[0]);
  refuses(*all[0]);
  return report("decode");
}
