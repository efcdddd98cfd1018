// One batch being generated: ids, states, K/V cache, workspace; and one decode step.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "generator.h"

namespace magnets {

struct SessionOptions {
  // `tokens` are all sub-tokens of a sample.
  std::vector<int32_t> ids;     // [samples, tokens] vocabulary ids; where masked: what the model sees there
  std::vector<uint8_t> masked;  // [samples, tokens]
  // [samples, tokens] of what is masked how many stay masked when they are revealed: a step then draws only those
  // whose turn has come, and confidence is the turn. Empty: a step draws every masked position.
  std::vector<int32_t> turns;
  std::vector<int32_t> class_ids;        // [samples] vocabulary ids, with modulation rows of the class table
  std::optional<int32_t> null_class_id;  // set: guidance, a second branch of every sample without its class
  std::vector<int32_t> sample_numbers;   // [samples] for the noise (philox.h)
  std::vector<uint64_t> seeds;           // [samples] for the noise
  bool profiled = false;                 // measure where the time of steps goes
};

/// One step of a plan: finished numbers, nothing is recomputed here.
struct Step {
  Width width;
  bool refresh;                   // compute every row and rewrite the cache
  bool all_logits;                // run the LM head on every row, not only on the masked ones
  int active_rows, logits_rows;   // of all branches; what the session finds must be the same
  std::vector<int> masked_after;  // [samples]; 0 of one that is abandoned
  SampleSettings settings;
  /// Samples that nobody waits for any more: no row of theirs is active from this step on, which is no refresh.
  std::vector<int> abandoned = {};
};

class Session {
 public:
  /// Memory for a batch; nothing can be computed before start. Throws ERR_OUT_OF_MEMORY where it cannot be had.
  Session(std::shared_ptr<const Generator> generator, int samples, bool guided);
  /// A session that has started. Throws ERR_INTERNAL where sizes or ids do not fit the generator: callers have checked
  /// them.
  Session(std::shared_ptr<const Generator> generator, const SessionOptions& options);
  /// Device memory of a session at most: with logits of every row.
  static size_t bytes_of(const std::shared_ptr<const Generator>& generator, int samples, bool guided);

  /// Begins a new batch of as many samples and branches. What a device recorded for the batches before stays good.
  /// Throws like the constructor, and ERR_UNSUPPORTED for a profile of a device that runs by itself.
  void start(const SessionOptions& options);

  int samples() const { return samples_; }
  bool guided() const { return branches_ > samples_; }
  size_t bytes() const { return bytes_; }
  /// False after an operation has failed half way: states and counts may disagree, and nothing more can be computed.
  bool usable() const { return usable_; }

  /// Logits of all masked positions (with `all_logits` of every row) under the sub-model `width`.
  void compute(const Width& width, bool refresh, bool all_logits);

  /// Computes, samples the masked positions and reveals all but masked_after of them; where they take turns, only what
  /// is revealed has logits and is sampled. On a device that runs by itself this step, and no more than one before it,
  /// may still be under way on return; ids, masked and logits wait for it.
  void step(const Step& step);

  /// Teacher forcing, after compute, where positions take no turns: these tokens [samples, tokens] become known where
  /// they are not negative and the position is masked.
  void reveal(const std::vector<int32_t>& tokens);

  std::vector<int32_t> ids();     // [samples, tokens]
  std::vector<uint8_t> masked();  // [samples, tokens]
  /// [samples] the `step` of the settings under which logits of a sample were first not finite, or kNoFault.
  std::vector<int32_t> faults();
  std::vector<float> logits();  // [logits rows, columns] of the last compute or step
  int logits_rows() const { return logits_offsets_.back(); }
  const Flops& flops() const { return stream_->flops(); }
  /// Of the steps, where the session has one.
  const std::optional<Profile>& profile() const { return profile_; }

 private:
  /// The state of a batch before its first step, as the device gets it.
  struct Beginning;

  Session(std::shared_ptr<const Generator> generator, Backend& backend, int samples, bool guided);
  Beginning beginning_of(const SessionOptions& options) const;
  void check_pass(const Width& width, bool refresh) const;
  void modulate();
  void abandon(const std::vector<int>& samples);
  /// Rows of each branch of this sample in the next pass, if it is no refresh.
  int active_rows_of(int sample) const {
    return std::min(token_count_, masked_count_[sample] + revealed_count_[sample]);
  }
  StepShape select(const Width& width, bool refresh, bool all_logits, const std::vector<int>& masked_after,
                   const SampleSettings& settings);
  void reserve_logits(int rows);
  void forward(const StepShape& shape);
  void sample_and_reveal(const StepShape& shape);
  Rows rows_of(const StepShape& shape) const;
  template <class Body>
  void usable_again_after(const Body& body);

  std::shared_ptr<const Generator> generator_;
  Backend& backend_;
  size_t bytes_ = 0;
  int samples_, branches_, token_count_;
  int sub_token_count_;  // of a sample

  // What the host knows of the states on the device; the plan's numbers, remembered.
  std::vector<int> masked_count_, revealed_count_;           // [samples]; revealed in the step before
  std::vector<int32_t> row_offsets_{0}, logits_offsets_{0};  // [branches + 1] of the pass that runs, or ran last
  std::optional<Width> cached_width_;
  bool in_turns_ = false;
  bool class_vectors_known_ = false;  // with modulation: those of this batch
  bool usable_ = true;
  std::optional<Profile> profile_;

  std::unique_ptr<Buffer> ids_, state_, turns_;                         // [samples, tokens]
  std::unique_ptr<Buffer> first_ids_, class_rows_;                      // [1, branches]: at position 0; of modulation
  std::unique_ptr<Buffer> noise_keys_;                                  // [3, samples]
  std::unique_ptr<Buffer> tokens_, confidence_, faults_;                // [samples, tokens]: drawn in this step
  std::unique_ptr<Buffer> row_index_, logits_index_;                    // [1, branches * S]
  std::unique_ptr<Buffer> row_offsets_buffer_, logits_offsets_buffer_;  // [1, branches + 1]
  std::unique_ptr<Buffer> settings_, masked_after_;                     // [1, words], [1, samples]
  LmHeadWorkspace lm_head_;
  int logits_capacity_ = 0;  // rows of lm_head_
  std::unique_ptr<KvCache> cache_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<Stream> stream_;  // the first to go: then nothing runs any more
};

}  // namespace magnets
