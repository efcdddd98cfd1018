// Noise, drawing, revealing. What is drawn must be what the reference would draw, up to ties within rounding; and its
// frequencies must be those of the softmax.
#include <algorithm>
#include <cstring>

#include "../../native/ops/philox.h"
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// Known answers of the authors' Random123 library (kat_vectors, philox4x32 10 rounds).
void known_answers() {
  check(philox({0, 0, 0, 0}, 0) == PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}, "philox of zeros");
  check(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, ~uint64_t{0}) ==
            PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        "philox of ones");
  check(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822) ==
            PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1},
        "philox of pi");
  check(to_uniform(0) > 0 && to_uniform(0xffffffff) < 1, "uniform is open");
}

struct Drawn {
  std::vector<int32_t> tokens;
  std::vector<float> confidence;
  std::vector<int32_t> faults;
};

struct Draw {
  int codebook_size;
  bool guided;
  SampleSettings settings;
  int sub_tokens = 1;
};

/// The rows of a refresh; every turn has come.
reference::SelectedRows rows_of(const std::vector<uint8_t>& state, int samples, int tokens, const Draw& options) {
  const std::vector<int32_t> any_turn(state.size(), kAnyTurn), masked_after(samples);
  return reference::select_rows(state, any_turn, masked_after, options.guided ? 2 * samples : samples, tokens, true,
                                false, options.sub_tokens);
}

/// Draws for what is masked in `state`, whose logits are given row by row.
Drawn draw(Backend& backend, const reference::Matrix& logits, const std::vector<uint8_t>& state, int samples,
           int tokens, const std::vector<int32_t>& numbers, uint64_t seed, const Draw& options,
           int32_t fault_before = kNoFault) {
  auto stream = backend.stream();
  const int branches = options.guided ? 2 * samples : samples;
  const auto selected = rows_of(state, samples, tokens, options);
  check(static_cast<int>(selected.logits_rows.size()) == logits.rows, "logits of every masked position");
  const auto upload = [&](ElementType type, int rows, int columns, const auto& values) {
    return upload_new(backend, *stream, type, rows, columns, values);
  };
  const int count = static_cast<int>(selected.rows.size());
  auto index = upload(ElementType::i32, 1, count, selected.rows);
  auto offsets = upload(ElementType::i32, 1, branches + 1, selected.row_offsets);
  auto logits_rows = upload(ElementType::i32, 1, logits.rows, selected.logits_rows);
  auto logits_offsets = upload(ElementType::i32, 1, branches + 1, selected.logits_offsets);
  const int width = tokens * options.sub_tokens;
  auto states = upload(ElementType::u8, samples, width, state);
  Guarded buffer(backend, *stream, logits, ElementType::f32);
  const size_t size = state.size();
  auto drawn = upload(ElementType::i32, samples, width, std::vector<int32_t>(size, -7));
  auto confidence = upload(ElementType::f32, samples, width, std::vector<float>(size, kGuard));
  auto faults = upload(ElementType::i32, samples, width, std::vector<int32_t>(size, fault_before));
  std::vector<int32_t> noise = numbers;
  noise.insert(noise.end(), samples, static_cast<int32_t>(seed));
  noise.insert(noise.end(), samples, static_cast<int32_t>(seed >> 32));
  auto noise_keys = upload(ElementType::i32, 3, samples, noise);
  std::vector<int32_t> settings(kSampleSettingsWords);
  std::memcpy(settings.data(), &options.settings, sizeof options.settings);
  auto settings_buffer = upload(ElementType::i32, 1, kSampleSettingsWords, settings);
  stream->run(Sample{.logits = *buffer.buffer,
                     .rows = {.index = *index,
                              .offsets = *offsets,
                              .branches = branches,
                              .positions = tokens + 1,
                              .count = count,
                              .most = tokens + 1},
                     .logits_rows = *logits_rows,
                     .logits_offsets = *logits_offsets,
                     .logits_count = logits.rows,
                     .state = *states,
                     .noise_keys = *noise_keys,
                     .settings = *settings_buffer,
                     .samples = samples,
                     .sub_tokens = options.sub_tokens,
                     .codebook_size = options.codebook_size,
                     .guided = options.guided,
                     .tokens = *drawn,
                     .confidence = *confidence,
                     .faults = *faults});
  Drawn result{std::vector<int32_t>(size), std::vector<float>(size), std::vector<int32_t>(size)};
  stream->download(*faults, samples, width, result.faults.data());
  stream->download(*drawn, samples, width, result.tokens.data());
  stream->download(*confidence, samples, width, result.confidence.data());
  return result;
}

void agrees_with_reference(Backend& backend, const Draw& options, uint64_t seed) {
  constexpr int kSamples = 3, kTokens = 11;
  const int parts = options.sub_tokens, n = options.codebook_size / parts;
  const SampleSettings& settings = options.settings;
  Random random(n + settings.top_k);
  std::vector<uint8_t> state(kSamples * kTokens * parts);
  for (uint8_t& one : state) one = random.below(3) == 0 ? kKnown : kMasked;
  const auto selected = rows_of(state, kSamples, kTokens, options);
  const int rows = selected.logits_offsets[kSamples];
  auto logits = random.matrix(options.guided ? 2 * rows : rows, n * parts + 3);  // more columns than may be drawn
  for (double& value : logits.values) value *= 4;
  for (int row = 0; row < logits.rows; ++row) logits.at(row, n * parts) = 100;
  std::vector<int> row_of(kSamples * kTokens, -1);  // of each position
  for (int row = 0; row < rows; ++row) {
    const int at = selected.rows[selected.logits_rows[row]];
    row_of[at / (kTokens + 1) * kTokens + at % (kTokens + 1) - 1] = row;
  }
  const std::vector<int32_t> numbers = {5, 0, 1000000};
  const Drawn drawn = draw(backend, logits, state, kSamples, kTokens, numbers, seed, options);
  check(drawn.faults == std::vector<int32_t>(state.size(), kNoFault), "finite logits are no fault");

  for (int i = 0; i < kSamples * kTokens * parts; ++i) {
    if (state[i] != kMasked) {
      check(drawn.tokens[i] == -7 && drawn.confidence[i] == kGuard, "a known token was drawn");
      continue;
    }
    const int row = row_of[i / parts], first = i % parts * n;
    check(row >= 0, "logits of every position with something masked");
    std::vector<double> conditional(n), unconditional(options.guided ? n : 0);
    for (int j = 0; j < n; ++j) {
      conditional[j] = logits.at(row, first + j);
      if (options.guided) unconditional[j] = logits.at(rows + row, first + j);
    }
    const int width = kTokens * parts;
    const auto scores = reference::sample(conditional, unconditional, settings, i % width, numbers[i / width], seed);
    double best = -INFINITY;
    for (const double score : scores.choice) best = std::max(best, score);
    const int token = drawn.tokens[i] - first;
    // Guided logits up to 4 (1 + 2 w), over the temperature, plus noise: a few units of at most 100; the noise's own
    // logarithms err by 2e-7 of at most 17.
    const double bound = 100 * 4 * kUnit + 17 * 4e-7;
    check(token >= 0 && token < n && scores.choice[token] >= best - bound, "drew another token");
    if (settings.temperature == 0 && !options.guided) {  // the logits themselves, many of them equal
      check(token == std::max_element(conditional.begin(), conditional.end()) - conditional.begin(),
            "of equals the first");
    }
    if (settings.confidence == Confidence::turn) {
      check(drawn.confidence[i] == kGuard, "a turn stays as it is");
    } else {
      const double confidence_bound = (1 + settings.choice_temperature) * bound;
      check_near(drawn.confidence[i], scores.confidence[token], confidence_bound, "confidence");
    }
  }
}

/// A logit of one token that is not finite, anywhere among those that may be drawn, is reported with its step; nothing
/// else is, nor is it forgotten.
void reports_what_is_not_finite(Backend& backend) {
  constexpr int kSamples = 3, kTokens = 5, kWrong = 1, kBefore = 2;
  for (const int n : {7, 1025}) {
    for (const bool guided : {false, true}) {
      const Draw options{.codebook_size = n,
                         .guided = guided,
                         .settings = {.guidance = 1, .temperature = 1, .top_k = 0, .choice_temperature = 1, .step = 6}};
      const std::vector<uint8_t> state(kSamples * kTokens, kMasked);
      const int rows = kSamples * kTokens;
      Random random(n);
      const reference::Matrix sound = random.matrix(guided ? 2 * rows : rows, n + 1);
      const auto faults = [&](const reference::Matrix& logits, int32_t fault_before) {
        return draw(backend, logits, state, kSamples, kTokens, {1, 2, 3}, 5, options, fault_before).faults;
      };
      const std::vector<int32_t> none(state.size(), kNoFault), before(state.size(), kBefore);
      std::vector<int32_t> expected = none;
      expected[kWrong * kTokens + 3] = 6;
      for (const auto& [value, column] :
           {std::pair{double{NAN}, n - 1}, {double{INFINITY}, n / 2}, {-double{INFINITY}, 0}}) {
        for (const int branch : {0, guided ? rows : 0}) {
          reference::Matrix logits = sound;
          logits.at(branch + kWrong * kTokens + 3, column) = value;
          check(faults(logits, kNoFault) == expected, "the token and the step of what is not finite");
          if (column == 0) check(faults(logits, kBefore) == before, "the first step stays");
        }
      }
      reference::Matrix beside = sound;
      beside.at(0, n) = NAN;
      check(faults(beside, kNoFault) == none, "what cannot be drawn is no fault");
    }
  }
}

/// Ten times `tokens` draws against the softmax by a chi-square test; 6 standard deviations would be one chance in
/// 10^9.
void has_the_right_frequencies(Backend& backend, int tokens) {
  constexpr int kSamples = 10, n = 8;
  for (const int top_k : {0, 3}) {
    const Draw options{
        .codebook_size = n,
        .guided = false,
        .settings = {.guidance = 0, .temperature = 0.7f, .top_k = top_k, .choice_temperature = 0, .step = 4}};
    reference::Matrix logits(kSamples * tokens, n);
    double probability[n], sum = 0;
    for (int j = 0; j < n; ++j) {
      for (int row = 0; row < logits.rows; ++row) logits.at(row, j) = 0.25 * j;
      sum += probability[j] = top_k == 0 || j >= n - top_k ? std::exp(0.25 * j / 0.7) : 0;
    }
    std::vector<int32_t> numbers(kSamples);
    for (int i = 0; i < kSamples; ++i) numbers[i] = i;
    const auto drawn =
        draw(backend, logits, std::vector<uint8_t>(kSamples * tokens, kMasked), kSamples, tokens, numbers, 99, options);
    int counts[n] = {};
    for (const int32_t token : drawn.tokens) ++counts[token];
    double chi_square = 0;
    const int freedom = (top_k == 0 ? n : top_k) - 1;
    for (int j = 0; j < n; ++j) {
      const double expected = probability[j] / sum * drawn.tokens.size();
      if (expected == 0) {
        check(counts[j] == 0, "drew outside the top k");
      } else {
        chi_square += std::pow(counts[j] - expected, 2) / expected;
      }
    }
    check(chi_square < freedom + 6 * std::sqrt(2.0 * freedom), "chi-square " + std::to_string(chi_square));
  }
}

struct Sequences {
  std::vector<int32_t> ids;
  std::vector<uint8_t> state;
  bool operator==(const Sequences&) const = default;
};

/// Runs Reveal, or RevealGiven where there is no confidence.
Sequences reveal(Backend& backend, int samples, const Sequences& before, const std::vector<int32_t>& tokens,
                 const std::vector<float>& confidence, const std::vector<int32_t>& masked_after) {
  auto stream = backend.stream();
  const int count = static_cast<int>(tokens.size()) / samples;
  auto ids = upload_new(backend, *stream, ElementType::i32, samples, count, before.ids);
  auto state = upload_new(backend, *stream, ElementType::u8, samples, count, before.state);
  auto tokens_buffer = upload_new(backend, *stream, ElementType::i32, samples, count, tokens);
  std::unique_ptr<Buffer> confidence_buffer, masked_after_buffer;  // until the stream is done with them
  if (confidence.empty()) {
    stream->run(
        RevealGiven{.tokens = *tokens_buffer, .samples = samples, .token_count = count, .ids = *ids, .state = *state});
  } else {
    confidence_buffer = upload_new(backend, *stream, ElementType::f32, samples, count, confidence);
    masked_after_buffer = upload_new(backend, *stream, ElementType::i32, 1, samples, masked_after);
    stream->run(Reveal{.tokens = *tokens_buffer,
                       .confidence = *confidence_buffer,
                       .masked_after = *masked_after_buffer,
                       .samples = samples,
                       .token_count = count,
                       .ids = *ids,
                       .state = *state});
  }
  Sequences after{std::vector<int32_t>(tokens.size()), std::vector<uint8_t>(tokens.size())};
  stream->download(*ids, samples, count, after.ids.data());
  stream->download(*state, samples, count, after.state.data());
  return after;
}

/// Many tokens, many equal confidences, some known: against a sort.
void reveals_many(Backend& backend, int tokens) {
  constexpr int kSamples = 3;
  Random random(tokens);
  const size_t size = static_cast<size_t>(kSamples) * tokens;
  Sequences before{std::vector<int32_t>(size, -1), std::vector<uint8_t>(size)};
  std::vector<float> confidence(size);
  std::vector<int32_t> drawn(size), given(size), masked(kSamples);
  for (size_t i = 0; i < size; ++i) {
    before.state[i] = static_cast<uint8_t>(random.below(3));
    confidence[i] = static_cast<float>(random.below(7) - 3) * (random.below(2) ? 0.5f : 1e30f);
    drawn[i] = static_cast<int32_t>(i);
    given[i] = random.below(2) ? drawn[i] : -1;
    masked[i / tokens] += before.state[i] == kMasked;
  }
  for (const int half : {0, 1, 2}) {
    std::vector<int32_t> masked_after;
    for (const int32_t count : masked) masked_after.push_back(count * half / 2);
    if (half == 1) masked_after[0] = std::min(1, masked[0]);
    Sequences expected = before;
    reference::reveal(drawn, confidence, masked_after, expected.ids, expected.state);
    check(reveal(backend, kSamples, before, drawn, confidence, masked_after) == expected, "Reveal");
  }
  Sequences expected = before;
  reference::reveal_given(given, expected.ids, expected.state);
  check(reveal(backend, kSamples, before, given, {}, {}) == expected, "RevealGiven");
}

void reveals(Backend& backend) {
  const Sequences before{std::vector<int32_t>(12, 50),
                         {kMasked, kRevealed, kMasked, kMasked, kKnown, kMasked,  //
                          kMasked, kMasked, kMasked, kMasked, kMasked, kMasked}};
  const std::vector<int32_t> drawn = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  const std::vector<float> confidence = {1, 99, 3, 1, 99, 2, -INFINITY, 0, 0, 0, 0, 0};
  // Of equal confidences the lower position goes first.
  check(reveal(backend, 2, before, drawn, confidence, {1, 4}) ==
            Sequences{{0, 50, 2, 50, 50, 5, 50, 7, 8, 50, 50, 50},
                      {kRevealed, kKnown, kRevealed, kMasked, kKnown, kRevealed,  //
                       kMasked, kRevealed, kRevealed, kMasked, kMasked, kMasked}},
        "ids and states after a reveal");
  check(reveal(backend, 2, before, {7, 7, -1, 0, 7, -1, -1, -1, 9, -1, -1, -1}, {}, {}) ==
            Sequences{{7, 50, 50, 0, 50, 50, 50, 50, 9, 50, 50, 50},
                      {kRevealed, kKnown, kMasked, kRevealed, kKnown, kMasked,  //
                       kMasked, kMasked, kRevealed, kMasked, kMasked, kMasked}},
        "ids and states after given tokens");
}

/// Two steps, each of them Sample and Reveal, at once or one after the other: everything that they write. Logits rows
/// are listed backwards, so that the last of a sample is at position 0, where the state is not read: had a row of a
/// token that was revealed before not been waited for, its state would change as it is read.
std::vector<std::vector<float>> steps(Backend& backend, int tokens, const Draw& options, bool in_turns, bool all_logits,
                                      bool at_once) {
  constexpr int kSamples = 3, kNothingMasked = 1;
  const int width = tokens * options.sub_tokens, branches = options.guided ? 2 * kSamples : kSamples;
  const size_t size = static_cast<size_t>(kSamples) * width;
  Random random(width);
  std::vector<uint8_t> state(size);
  std::vector<int32_t> turns(size, kAnyTurn), masked(kSamples);
  std::vector<float> confidence(size, kGuard);
  for (size_t i = 0; i < size; ++i) {
    const int sample = static_cast<int>(i) / width;
    state[i] = static_cast<uint8_t>(sample == kNothingMasked ? 2 * random.below(2) : random.below(3));
    if (state[i] != kMasked) continue;
    if (in_turns) turns[i] = masked[sample], confidence[i] = static_cast<float>(masked[sample]);
    ++masked[sample];
  }
  state[(kNothingMasked + 1) * width - 1] = kRevealed;
  auto stream = backend.stream();
  const auto upload = [&](ElementType type, int rows, int columns, const auto& values) {
    return upload_new(backend, *stream, type, rows, columns, values);
  };
  auto states = upload(ElementType::u8, kSamples, width, state);
  auto ids = upload(ElementType::i32, kSamples, width, std::vector<int32_t>(size, -1));
  auto drawn = upload(ElementType::i32, kSamples, width, std::vector<int32_t>(size, -7));
  auto confidences = upload(ElementType::f32, kSamples, width, confidence);
  auto faults = upload(ElementType::i32, kSamples, width, std::vector<int32_t>(size, kNoFault));
  auto noise_keys = upload(ElementType::i32, 3, kSamples, std::vector<int32_t>{4, 5, 6, 1, 1, 1, 0, 0, 0});
  std::vector<std::vector<float>> written;
  // Sample 0 is revealed in two steps; sample 2 in the second one.
  for (const std::vector<int32_t>& masked_after : {std::vector<int32_t>{masked[0] / 2, 0, masked[2]}, {0, 0, 0}}) {
    auto selected =
        reference::select_rows(state, turns, masked_after, branches, tokens, true, all_logits, options.sub_tokens);
    const auto first = selected.logits_rows.begin();
    for (int branch = 0; branch < branches; ++branch) {
      std::reverse(first + selected.logits_offsets[branch], first + selected.logits_offsets[branch + 1]);
    }
    const int rows = static_cast<int>(selected.rows.size()),
              logits_rows = static_cast<int>(selected.logits_rows.size());
    auto index = upload(ElementType::i32, 1, rows, selected.rows);
    auto offsets = upload(ElementType::i32, 1, branches + 1, selected.row_offsets);
    auto logits_index = upload(ElementType::i32, 1, logits_rows, selected.logits_rows);
    auto logits_offsets = upload(ElementType::i32, 1, branches + 1, selected.logits_offsets);
    auto masked_left = upload(ElementType::i32, 1, kSamples, masked_after);
    Guarded logits(backend, *stream, random.matrix(logits_rows, options.codebook_size), ElementType::f32);
    std::vector<int32_t> settings(kSampleSettingsWords);
    std::memcpy(settings.data(), &options.settings, sizeof options.settings);
    auto settings_buffer = upload(ElementType::i32, 1, kSampleSettingsWords, settings);
    const Sample sample{.logits = *logits.buffer,
                        .rows = {.index = *index,
                                 .offsets = *offsets,
                                 .branches = branches,
                                 .positions = tokens + 1,
                                 .count = rows,
                                 .most = tokens + 1},
                        .logits_rows = *logits_index,
                        .logits_offsets = *logits_offsets,
                        .logits_count = logits_rows,
                        .state = *states,
                        .noise_keys = *noise_keys,
                        .settings = *settings_buffer,
                        .samples = kSamples,
                        .sub_tokens = options.sub_tokens,
                        .codebook_size = options.codebook_size,
                        .guided = options.guided,
                        .tokens = *drawn,
                        .confidence = *confidences,
                        .faults = *faults};
    const Reveal reveal{.tokens = *drawn,
                        .confidence = *confidences,
                        .masked_after = *masked_left,
                        .samples = kSamples,
                        .token_count = width,
                        .ids = *ids,
                        .state = *states};
    if (at_once) {
      stream->run(sample, reveal);
    } else {
      stream->run(sample);
      stream->run(reveal);
    }
    stream->download(*states, kSamples, width, state.data());
    written.emplace_back(state.begin(), state.end());
    for (const Buffer* buffer : {ids.get(), drawn.get(), faults.get()}) {
      std::vector<int32_t> values(size);
      stream->download(*buffer, kSamples, width, values.data());
      written.emplace_back(values.begin(), values.end());
    }
    stream->download(*confidences, kSamples, width, confidence.data());
    written.push_back(confidence);
  }
  return written;
}

/// Drawing and revealing at once is what both are one after the other, to the bit.
void draws_and_reveals(Backend& backend) {
  struct Case {
    int tokens, sub_tokens;
    bool all_logits;
  };
  for (const auto [tokens, sub_tokens, all_logits] :
       {Case{21, 1, false}, {21, 1, true}, {21, 2, false}, {21, 2, true}, {1, 1, true}}) {
    const Draw drawn{.codebook_size = 10,
                     .guided = true,
                     .settings = {.guidance = 1, .temperature = 1, .top_k = 0, .choice_temperature = 1, .step = 2},
                     .sub_tokens = sub_tokens};
    Draw in_turns = drawn;
    in_turns.guided = false;
    in_turns.settings.confidence = Confidence::turn;
    check(steps(backend, tokens, drawn, false, all_logits, true) ==
              steps(backend, tokens, drawn, false, all_logits, false),
          "Sample with Reveal");
    check(steps(backend, tokens, in_turns, true, all_logits, true) ==
              steps(backend, tokens, in_turns, true, all_logits, false),
          "Sample with Reveal, in turns");
  }
}

/// Weights can overflow. What is drawn is of the codebook all the same, for the next step reads its embedding.
void draws_of_what_is_no_number(Backend& backend) {
  constexpr int kTokens = 3, kCodes = 5;
  reference::Matrix logits(2 * kTokens, kCodes);
  std::fill(logits.values.begin(), logits.values.end(), NAN);
  logits.at(1, 2) = logits.at(kTokens + 1, 2) = 1;
  for (const float temperature : {0.0f, 1.0f}) {
    for (const int top_k : {0, 2}) {
      const Draw options{
          .codebook_size = kCodes,
          .guided = true,
          .settings = {.guidance = 1, .temperature = temperature, .top_k = top_k, .choice_temperature = 1, .step = 0}};
      const Drawn drawn = draw(backend, logits, std::vector<uint8_t>(kTokens, kMasked), 1, kTokens, {0}, 3, options);
      for (const int token : drawn.tokens) check(token >= 0 && token < kCodes, "a token of no number");
      check(drawn.tokens[1] == 2, "the only number is drawn");
    }
  }
}

}  // namespace

int main() {
  known_answers();
  for (const auto& subject : subjects(Variety::none)) {
    auto backend = subject->open();
    reports_what_is_not_finite(*backend);
    for (const int n : {1, 5, 64, subject->slow() ? 601 : 1021}) {
      const auto agrees = [&](bool guided, uint64_t seed, const SampleSettings& settings) {
        agrees_with_reference(*backend, {.codebook_size = n, .guided = guided, .settings = settings}, seed);
      };
      agrees(false, 7, {.guidance = 0, .temperature = 1, .top_k = 0, .choice_temperature = 4.5f, .step = 0});
      agrees(true, 7, {.guidance = 1.5f, .temperature = 0.8f, .top_k = 0, .choice_temperature = 2, .step = 11});
      agrees(true, ~uint64_t{0}, {.guidance = 3, .temperature = 1.3f, .top_k = 4, .choice_temperature = 0, .step = 3});
      agrees(false, 1, {.guidance = 0, .temperature = 0, .top_k = 0, .choice_temperature = 1, .step = 1});
      const SampleSettings of_parts{1.5f, 0.8f, 4, 2, 3, Confidence::log_probability};
      agrees_with_reference(*backend, {.codebook_size = 2 * n, .guided = true, .settings = of_parts, .sub_tokens = 2},
                            9);
      for (const auto kind : {Confidence::probability, Confidence::logit, Confidence::turn}) {
        agrees(true, 5, {1.5f, 0.8f, 4, 2, 3, kind});
        agrees(false, 5, {0, 1, 0, 0, 3, kind});
      }
    }
    has_the_right_frequencies(*backend, subject->slow() ? 20 : 2000);
    reveals(*backend);
    for (const int tokens : {1, 31, 256, 300}) reveals_many(*backend, tokens);
    draws_and_reveals(*backend);
    draws_of_what_is_no_number(*backend);
  }
  return report("sampling");
}
