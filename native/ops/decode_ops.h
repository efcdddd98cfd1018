// The operations of masked decoding (MaskGIT, arXiv 2202.04200, algorithm of section 3.2), apart from the mathematics
// of ops.h: which rows a step computes, what the model sees there, which tokens it draws, which of them become known.
//
// Position 0 of a sequence is the class token or a register, token n is at position n + 1. Branch b belongs to sample b
// % samples.
#pragma once

#include <compare>
#include <cstdint>

#include "ops.h"

namespace magnets {

/// State of a sub-token; most models have one a position, which is its token. A boolean is not enough: a row computed
/// with [MASK] is computed once more when its token has become known, for the keys and values that other rows see.
enum State : uint8_t { kKnown = 0, kMasked = 1, kRevealed = 2 };  // revealed: known since the step before

/// What the confidence in a drawn token is, before noise is added: a number that its guided logits give at temperature
/// 1. Where positions take turns, confidence is the turn from the start, and stays.
enum class Confidence : int32_t { log_probability, probability, logit, turn };

/// The settings of one step's sampling. They are in device memory, like everything about a step that is not a shape,
/// so that a recorded step can be repeated with other settings.
struct SampleSettings {
  float guidance;            // w in (1 + w) * conditional - w * unconditional
  float temperature;         // 0: the most likely token
  int32_t top_k;             // 0: all
  float choice_temperature;  // scale of the Gumbel noise on the confidence
  uint32_t step;             // for the noise (philox.h)
  Confidence confidence = Confidence::log_probability;
};
constexpr int kSampleSettingsWords = sizeof(SampleSettings) / sizeof(int32_t);

constexpr int32_t kAnyTurn = INT32_MAX;
constexpr int32_t kNoFault = -1;

/// Lists the rows that a step computes, and of them, as numbers into that list, those whose logits it needs.
/// rows: with `refresh` every position of every branch, else those with a sub-token that is masked or revealed.
/// logits_rows: with `all_logits` every row, else those with a sub-token that is masked and whose turn has come: turn
/// >= masked_after[sample]. A masked sub-token's turn is how many stay masked when it is revealed; kAnyTurn has always
/// come.
/// The number of rows must not depend on what was drawn: a branch has one for each such sub-token, but no more than it
/// has positions. Where several of them share a position, other positions (other rows) make up the number, from the
/// front.
struct SelectRows {
  const Buffer& state;           // u8 [samples, tokens * sub_tokens]
  const Buffer& turns;           // i32 [samples, tokens * sub_tokens]
  const Buffer& masked_after;    // i32 [1, samples]
  const Buffer& row_offsets;     // i32 [1, branches + 1]: where each branch's rows begin
  const Buffer& logits_offsets;  // i32 [1, branches + 1]: where each branch's logits rows begin
  int samples, branches;
  int tokens;          // positions
  int sub_tokens = 1;  // of each
  bool refresh, all_logits;
  Buffer& rows;         // i32 [1, *]: branch * positions + position
  Buffer& logits_rows;  // i32 [1, *]
};

/// x[r] = norm(table[id] + positions[s]): at position 0 the branch's first id, elsewhere the sample's id there, or the
/// sum over the ids of its sub-tokens.
struct Embed {
  const Table& table;
  const Buffer& positions;  // f32 [S, columns]
  const Buffer& ids;        // i32 [samples, tokens * sub_tokens]
  const Buffer& first_ids;  // i32 [1, branches]
  int samples;
  int sub_tokens = 1;  // of a position
  Rows rows;
  const Norm* norm;  // or none
  int columns;
  Buffer& x;
};

/// For every masked sub-token of every logits row: draws a token by Gumbel-max from
/// softmax(top_k(guided logits) / temperature) and gives it a confidence, such as
/// log softmax(guided logits)[token] + choice_temperature * Gumbel (MaskGIT, parallel_decode). Sub-token j of a
/// position draws from the j-th equal part of the codebook (MaskBit, arXiv 2409.16211).
struct Sample {
  const Buffer& logits;  // f32 [logits_count, >= codebook_size]; guided: the second half mirrors the first
  Rows rows;
  const Buffer& logits_rows;
  const Buffer& logits_offsets;  // i32 [1, branches + 1]: where each branch's logits rows begin
  int logits_count;
  const Buffer& state;
  const Buffer& noise_keys;  // i32 [3, samples]: the sample's number, its seed's low and high half (philox.h)
  const Buffer& settings;    // i32 [1, kSampleSettingsWords]: a SampleSettings
  int samples;
  int sub_tokens = 1;  // of a position
  int codebook_size;   // the first columns of the logits are what may be drawn; a multiple of sub_tokens
  bool guided;
  Buffer& tokens;      // i32 [samples, tokens * sub_tokens]; what is not masked is left alone
  Buffer& confidence;  // f32 [samples, tokens * sub_tokens]; left alone where it is the turn
  // i32 [samples, tokens * sub_tokens]: the first step whose guided logits of it were not finite, kNoFault before. What
  // is not finite counts as the least likely, so that something is drawn all the same.
  Buffer& faults;
};

/// Revealed becomes known. All but masked_after[sample] of each sample's masked sub-tokens become revealed, highest
/// confidence first (of equals the first), and take their token into ids.
struct Reveal {
  const Buffer& tokens;        // i32 [samples, token_count]
  const Buffer& confidence;    // f32 [samples, token_count]
  const Buffer& masked_after;  // i32 [1, samples]
  int samples, token_count;    // of a sample all sub-tokens
  Buffer& ids;                 // i32 [samples, token_count]
  Buffer& state;               // u8 [samples, token_count]
};

/// Teacher forcing. Revealed becomes known; masked sub-tokens whose token is not negative become revealed and take it.
struct RevealGiven {
  const Buffer& tokens;  // i32 [samples, token_count]
  int samples, token_count;
  Buffer& ids;
  Buffer& state;
};

/// What a recorded step depends on, besides the buffers it names: shapes alone. Which kernels run is a function of
/// these, so it needs no place here.
struct StepShape {
  int heads, hidden;  // the width
  bool refresh, all_logits, reveals;
  int rows, most_rows, logits_rows;
  int logits_capacity;  // stands for the buffers of the logits, which grow
  auto operator<=>(const StepShape&) const = default;
};

}  // namespace magnets
