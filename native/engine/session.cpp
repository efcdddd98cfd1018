#include "session.h"

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <string>

#include "measuring_backend.h"

namespace magnets {

namespace {

void check(bool condition, const std::string& message) {
  if (!condition) throw Error("ERR_INTERNAL", message);
}

void check_size(size_t actual, size_t expected, const char* name) {
  check(actual == expected,
        "expected " + std::to_string(expected) + " " + name + " but received " + std::to_string(actual));
}

/// Each of the turns 0 .. masked - 1 belongs to one masked position of a sample: what a step reveals is then as much as
/// its plan says.
bool are_turns(const int32_t* turns, const uint8_t* state, int tokens, int masked) {
  std::vector<bool> taken(masked);
  for (int token = 0; token < tokens; ++token) {
    if (state[token] != kMasked) continue;
    if (turns[token] < 0 || turns[token] >= masked || taken[turns[token]]) return false;
    taken[turns[token]] = true;
  }
  return true;
}

/// Rows of a batch are counted in 32 bits.
int checked_rows(int64_t branches, int64_t positions) {
  if (branches * positions <= INT_MAX) return static_cast<int>(branches * positions);
  throw Error("ERR_OUT_OF_MEMORY", "expected a batch of at most " + std::to_string(INT_MAX) + " rows but received " +
                                       std::to_string(branches * positions));
}

}  // namespace

Session::Session(std::shared_ptr<const Generator> generator, int samples, bool guided)
    : Session(generator, generator->backend(), samples, guided) {
  bytes_ = bytes_of(generator_, samples, guided);
}

size_t Session::bytes_of(const std::shared_ptr<const Generator>& generator, int samples, bool guided) {
  MeasuringBackend measuring(generator->backend());
  Session session(generator, measuring, samples, guided);
  const BlockConfig& block = generator->config().transformer.block;
  const int rows = session.branches_ * generator->config().positions();
  session.reserve_logits(rows);
  return measuring.most() + measuring.scratch_bytes(rows, block.hidden_size, block.heads * block.head_dim);
}

Session::Session(std::shared_ptr<const Generator> generator, Backend& backend, int samples, bool guided)
    : generator_(std::move(generator)),
      backend_(backend),
      samples_(samples),
      branches_(guided ? 2 * samples : samples),
      token_count_(generator_->config().token_count),
      sub_token_count_(generator_->config().sub_token_count()) {
  const int positions = generator_->config().positions();
  const int rows = checked_rows(branches_, positions);
  const auto i32 = [&](int rows, int columns) { return backend.allocate(ElementType::i32, rows, columns); };
  ids_ = i32(samples_, sub_token_count_);
  state_ = backend.allocate(ElementType::u8, samples_, sub_token_count_);
  turns_ = i32(samples_, sub_token_count_);
  first_ids_ = i32(1, branches_);
  class_rows_ = i32(1, branches_);
  noise_keys_ = i32(3, samples_);
  tokens_ = i32(samples_, sub_token_count_);
  confidence_ = backend.allocate(ElementType::f32, samples_, sub_token_count_);
  row_index_ = i32(1, rows);
  logits_index_ = i32(1, rows);
  row_offsets_buffer_ = i32(1, branches_ + 1);
  logits_offsets_buffer_ = i32(1, branches_ + 1);
  settings_ = i32(1, kSampleSettingsWords);
  masked_after_ = i32(1, samples_);
  faults_ = i32(samples_, sub_token_count_);
  cache_ = generator_->transformer().cache(backend, branches_, positions);
  workspace_ = std::make_unique<Workspace>(backend, generator_->config().transformer, rows, branches_);
  stream_ = backend.stream();
}

Session::Session(std::shared_ptr<const Generator> generator, const SessionOptions& options)
    : Session(std::move(generator), static_cast<int>(options.class_ids.size()), options.null_class_id.has_value()) {
  start(options);
}

struct Session::Beginning {
  std::vector<uint8_t> state;       // [samples, tokens]
  std::vector<int32_t> turns;       // [samples, tokens]
  std::vector<int32_t> first_ids;   // [branches]
  std::vector<int32_t> class_ids;   // [branches]
  std::vector<int32_t> noise_keys;  // [3, samples]: numbers, then the low and the high halves of the seeds
  std::vector<int> masked_count;    // [samples]
};

Session::Beginning Session::beginning_of(const SessionOptions& options) const {
  const GeneratorConfig& config = generator_->config();
  const size_t size = static_cast<size_t>(samples_) * sub_token_count_;
  check(samples_ > 0, "expected at least one sample");
  check_size(options.class_ids.size(), samples_, "class ids");
  check(options.null_class_id.has_value() == guided(), "expected guidance as the session was made for");
  check_size(options.ids.size(), size, "ids");
  check_size(options.masked.size(), size, "masked flags");
  check_size(options.sample_numbers.size(), samples_, "sample numbers");
  check_size(options.seeds.size(), samples_, "seeds");
  if (!options.turns.empty()) check_size(options.turns.size(), size, "turns");

  Beginning beginning{.state = std::vector<uint8_t>(size),
                      .turns = options.turns,
                      .first_ids = {},
                      .class_ids = options.class_ids,
                      .noise_keys = options.sample_numbers,
                      .masked_count = std::vector<int>(samples_)};
  if (options.null_class_id) beginning.class_ids.resize(branches_, *options.null_class_id);
  const auto check_ids = [](const std::vector<int32_t>& ids, int end, const char* what) {
    check(std::all_of(ids.begin(), ids.end(), [&](int32_t id) { return id >= 0 && id < end; }),
          std::string("expected ") + what + " below " + std::to_string(end));
  };
  check_ids(options.ids, config.vocab_size, "vocabulary ids");
  const bool modulated = config.transformer.block.modulation == Modulation::per_class;
  check_ids(beginning.class_ids, modulated ? config.classes.rows : config.vocab_size, "class ids");
  beginning.first_ids = modulated ? std::vector<int32_t>(branches_, config.classes.register_id) : beginning.class_ids;

  for (size_t i = 0; i < size; ++i) {
    beginning.state[i] = options.masked[i] ? kMasked : kKnown;
    beginning.masked_count[i / sub_token_count_] += options.masked[i] ? 1 : 0;
  }
  if (options.turns.empty()) beginning.turns.assign(size, kAnyTurn);
  for (int sample = 0; !options.turns.empty() && sample < samples_; ++sample) {
    const size_t first = static_cast<size_t>(sample) * sub_token_count_;
    const int masked = beginning.masked_count[sample];
    check(are_turns(&options.turns[first], &beginning.state[first], sub_token_count_, masked),
          "expected each of the turns below " + std::to_string(masked) + " once");
  }
  for (const uint64_t seed : options.seeds) beginning.noise_keys.push_back(static_cast<int32_t>(seed));
  for (const uint64_t seed : options.seeds) beginning.noise_keys.push_back(static_cast<int32_t>(seed >> 32));
  return beginning;
}

void Session::start(const SessionOptions& options) {
  if (options.profiled && generator_->backend().concurrent()) {
    throw Error("ERR_UNSUPPORTED", "expected a profile of a CPU: operations of " + generator_->backend().name() +
                                       " end after they were asked for, and whole steps are recorded");
  }
  Beginning beginning = beginning_of(options);
  usable_again_after([&] {
    stream_->clear_flops();
    profile_.reset();
    if (options.profiled) profile_.emplace();
    stream_->set_profile(profile_ ? &*profile_ : nullptr);
    stream_->upload(options.ids.data(), samples_, sub_token_count_, *ids_);
    stream_->upload(beginning.state.data(), samples_, sub_token_count_, *state_);
    stream_->upload(beginning.turns.data(), samples_, sub_token_count_, *turns_);
    in_turns_ = !options.turns.empty();
    if (in_turns_) {
      const std::vector<float> confidence(beginning.turns.begin(), beginning.turns.end());
      stream_->upload(confidence.data(), samples_, sub_token_count_, *confidence_);
    }
    stream_->upload(beginning.first_ids.data(), 1, branches_, *first_ids_);
    stream_->upload(beginning.class_ids.data(), 1, branches_, *class_rows_);
    stream_->upload(beginning.noise_keys.data(), 3, samples_, *noise_keys_);
    const std::vector<int32_t> no_faults(beginning.state.size(), kNoFault);
    stream_->upload(no_faults.data(), samples_, sub_token_count_, *faults_);
    masked_count_ = std::move(beginning.masked_count);
    revealed_count_.assign(samples_, 0);
    logits_offsets_.assign(1, 0);
    cached_width_.reset();
    class_vectors_known_ = false;
  });
}

/// Marks the session unusable if `body` throws.
template <class Body>
void Session::usable_again_after(const Body& body) {
  usable_ = false;
  body();
  usable_ = true;
}

void Session::check_pass(const Width& width, bool refresh) const {
  const BlockConfig& block = generator_->config().transformer.block;
  check(usable_, "expected a session in which nothing has failed");
  check(width.heads >= 1 && width.heads <= block.heads && width.hidden >= 1 && width.hidden <= block.intermediate_size,
        "expected a width of at most " + std::to_string(block.heads) + " heads and " +
            std::to_string(block.intermediate_size) + " hidden units");
  check(refresh || cached_width_ == width, "expected a refresh at the first step and at a change of width");
}

/// What the blocks read of the classes stays the same from pass to pass: the first one computes it.
void Session::modulate() {
  if (generator_->config().transformer.block.modulation == Modulation::none || class_vectors_known_) return;
  generator_->modulate(*class_rows_, branches_, *workspace_, *stream_);
  class_vectors_known_ = true;
}

/// All of these samples counts as known, and as known for long: then no row of theirs is active. Their memory goes,
/// where it can: until the next refresh, before which nothing is read of a row that is not active, no pass has more
/// rows than the next one.
void Session::abandon(const std::vector<int>& samples) {
  if (samples.empty()) return;
  std::vector<uint8_t> state(static_cast<size_t>(samples_) * sub_token_count_);
  stream_->download(*state_, samples_, sub_token_count_, state.data());
  for (const int sample : samples) {
    std::fill_n(state.begin() + static_cast<ptrdiff_t>(sample) * sub_token_count_, sub_token_count_, kKnown);
    masked_count_[sample] = revealed_count_[sample] = 0;
    for (int branch = sample; branch < branches_; branch += samples_) cache_->discard_branch(branch);
  }
  int rows = 0;
  for (int branch = 0; branch < branches_; ++branch) rows += active_rows_of(branch % samples_);
  workspace_->discard_rows(rows);
  for (Buffer* buffer : {lm_head_.gathered.get(), lm_head_.dense.get(), lm_head_.logits.get()}) {
    if (buffer != nullptr) buffer->discard_rows(rows);
  }
  stream_->upload(state.data(), samples_, sub_token_count_, *state_);
}

/// The shape of the next pass; says where each branch's rows begin, whose turn has come and how to sample, and makes
/// room for the logits.
StepShape Session::select(const Width& width, bool refresh, bool all_logits, const std::vector<int>& masked_after,
                          const SampleSettings& settings) {
  std::vector<int32_t> row_offsets{0}, logits_offsets{0};
  int most = 0;
  for (int branch = 0; branch < branches_; ++branch) {
    const int sample = branch % samples_;
    const int rows = refresh ? token_count_ + 1 : active_rows_of(sample);
    row_offsets.push_back(row_offsets.back() + rows);
    const int drawn = std::min(token_count_, masked_count_[sample] - (in_turns_ ? masked_after[sample] : 0));
    logits_offsets.push_back(logits_offsets.back() + (all_logits ? rows : drawn));
    most = std::max(most, rows);
  }
  reserve_logits(logits_offsets.back());
  row_offsets_ = std::move(row_offsets);
  logits_offsets_ = std::move(logits_offsets);
  const auto words = std::bit_cast<std::array<int32_t, kSampleSettingsWords>>(settings);
  const std::vector<int32_t> settings_words(words.begin(), words.end());
  stream_->put({{row_offsets_, *row_offsets_buffer_},
                {logits_offsets_, *logits_offsets_buffer_},
                {masked_after, *masked_after_},
                {settings_words, *settings_}});
  return {.heads = width.heads,
          .hidden = width.hidden,
          .refresh = refresh,
          .all_logits = all_logits,
          .reveals = false,
          .rows = row_offsets_.back(),
          .most_rows = most,
          .logits_rows = logits_offsets_.back(),
          .logits_capacity = logits_capacity_};
}

void Session::reserve_logits(int rows) {
  if (rows <= logits_capacity_) return;
  const GeneratorConfig& config = generator_->config();
  const int d = config.transformer.block.hidden_size;
  const bool dense = config.head == Head::dense;
  LmHeadWorkspace larger{.gathered = backend_.allocate(ElementType::activation, rows, d),
                         .dense = dense ? backend_.allocate(ElementType::activation, rows, d) : nullptr,
                         .logits = backend_.allocate(ElementType::f32, rows, config.logits_columns())};
  stream_->synchronize();  // the ones before may be in use
  lm_head_ = std::move(larger);
  logits_capacity_ = rows;
}

Rows Session::rows_of(const StepShape& shape) const {
  return {.index = *row_index_,
          .offsets = *row_offsets_buffer_,
          .branches = branches_,
          .positions = token_count_ + 1,
          .count = shape.rows,
          .most = shape.most_rows};
}

/// Select the rows, embed them, run every block, compute logits.
void Session::forward(const StepShape& shape) {
  if (shape.rows == 0) return;
  const Rows rows = rows_of(shape);
  stream_->run(SelectRows{.state = *state_,
                          .turns = *turns_,
                          .masked_after = *masked_after_,
                          .row_offsets = *row_offsets_buffer_,
                          .logits_offsets = *logits_offsets_buffer_,
                          .samples = samples_,
                          .branches = branches_,
                          .tokens = token_count_,
                          .sub_tokens = generator_->config().sub_tokens,
                          .refresh = shape.refresh,
                          .all_logits = shape.all_logits,
                          .rows = *row_index_,
                          .logits_rows = *logits_index_},
               generator_->embedding(*ids_, *first_ids_, samples_, rows, *workspace_->x));
  const Input x = generator_->transformer().run({shape.heads, shape.hidden}, rows, *cache_, *workspace_, *stream_);
  if (shape.logits_rows > 0) generator_->lm_head(x, *logits_index_, shape.logits_rows, lm_head_, *stream_);
}

/// Draw a token for every masked position that has logits, and reveal those of the highest confidence.
void Session::sample_and_reveal(const StepShape& shape) {
  const Reveal reveal{.tokens = *tokens_,
                      .confidence = *confidence_,
                      .masked_after = *masked_after_,
                      .samples = samples_,
                      .token_count = sub_token_count_,
                      .ids = *ids_,
                      .state = *state_};
  if (shape.logits_rows == 0) return stream_->run(reveal);
  stream_->run(Sample{.logits = *lm_head_.logits,
                      .rows = rows_of(shape),
                      .logits_rows = *logits_index_,
                      .logits_offsets = *logits_offsets_buffer_,
                      .logits_count = shape.logits_rows,
                      .state = *state_,
                      .noise_keys = *noise_keys_,
                      .settings = *settings_,
                      .samples = samples_,
                      .sub_tokens = generator_->config().sub_tokens,
                      .codebook_size = generator_->config().codebook_size,
                      .guided = guided(),
                      .tokens = *tokens_,
                      .confidence = *confidence_,
                      .faults = *faults_},
               reveal);
}

void Session::compute(const Width& width, bool refresh, bool all_logits) {
  check_pass(width, refresh);
  // The turn of all has come, and nothing is sampled.
  const StepShape shape = select(width, refresh, all_logits, std::vector<int>(samples_), {});
  usable_again_after([&] {
    modulate();
    stream_->replay(shape, [&](const StepShape& shape) { forward(shape); });
    cached_width_ = width;
  });
}

void Session::step(const Step& step) {
  const WorkScope scope(profile_ ? &*profile_ : nullptr, Work::session);
  check_pass(step.width, step.refresh);
  check_size(step.masked_after.size(), samples_, "masked counts");
  check(step.abandoned.empty() || !step.refresh, "expected no refresh of samples that are abandoned");
  check(std::all_of(step.abandoned.begin(), step.abandoned.end(), [&](int i) { return i >= 0 && i < samples_; }),
        "expected samples below " + std::to_string(samples_));
  usable_again_after([&] { abandon(step.abandoned); });
  for (int sample = 0; sample < samples_; ++sample) {
    check(step.masked_after[sample] >= 0 && step.masked_after[sample] <= masked_count_[sample],
          "expected at most " + std::to_string(masked_count_[sample]) + " positions to stay masked but received " +
              std::to_string(step.masked_after[sample]));
  }
  check(in_turns_ == (step.settings.confidence == Confidence::turn), "expected the confidence of the session's order");
  StepShape shape = select(step.width, step.refresh, step.all_logits, step.masked_after, step.settings);
  shape.reveals = true;
  check(shape.rows == step.active_rows && shape.logits_rows == step.logits_rows,
        "expected " + std::to_string(shape.rows) + " active rows and " + std::to_string(shape.logits_rows) +
            " logits rows but the plan says " + std::to_string(step.active_rows) + " and " +
            std::to_string(step.logits_rows));
  usable_again_after([&] {
    modulate();
    stream_->replay(shape, [&](const StepShape& shape) {
      forward(shape);
      sample_and_reveal(shape);
    });
    cached_width_ = step.width;
    for (int sample = 0; sample < samples_; ++sample) {
      revealed_count_[sample] = masked_count_[sample] - step.masked_after[sample];
      masked_count_[sample] = step.masked_after[sample];
    }
  });
}

void Session::reveal(const std::vector<int32_t>& tokens) {
  const int codebook_size = generator_->config().codebook_size;
  check(usable_, "expected a session in which nothing has failed");
  check(!in_turns_, "expected a session whose positions take no turns");
  check_size(tokens.size(), static_cast<size_t>(samples_) * sub_token_count_, "tokens");
  check(std::all_of(tokens.begin(), tokens.end(), [&](int32_t token) { return token < codebook_size; }),
        "expected tokens below " + std::to_string(codebook_size));
  const std::vector<uint8_t> was_masked = masked();
  usable_again_after([&] {
    stream_->upload(tokens.data(), samples_, sub_token_count_, *tokens_);
    stream_->run(RevealGiven{
        .tokens = *tokens_, .samples = samples_, .token_count = sub_token_count_, .ids = *ids_, .state = *state_});
    revealed_count_.assign(samples_, 0);
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!was_masked[i] || tokens[i] < 0) continue;
      ++revealed_count_[i / sub_token_count_];
      --masked_count_[i / sub_token_count_];
    }
  });
}

std::vector<int32_t> Session::ids() {
  std::vector<int32_t> ids(static_cast<size_t>(samples_) * sub_token_count_);
  stream_->download(*ids_, samples_, sub_token_count_, ids.data());
  return ids;
}

std::vector<uint8_t> Session::masked() {
  std::vector<uint8_t> masked(static_cast<size_t>(samples_) * sub_token_count_);
  stream_->download(*state_, samples_, sub_token_count_, masked.data());
  for (uint8_t& state : masked) state = state == kMasked;
  return masked;
}

std::vector<int32_t> Session::faults() {
  std::vector<int32_t> of_tokens(static_cast<size_t>(samples_) * sub_token_count_);
  stream_->download(*faults_, samples_, sub_token_count_, of_tokens.data());
  std::vector<int32_t> faults(samples_, kNoFault);
  for (size_t i = 0; i < of_tokens.size(); ++i) {
    int32_t& first = faults[i / sub_token_count_];
    if (of_tokens[i] != kNoFault && (first == kNoFault || of_tokens[i] < first)) first = of_tokens[i];
  }
  return faults;
}

std::vector<float> Session::logits() {
  const int columns = generator_->config().logits_columns();
  std::vector<float> logits(static_cast<size_t>(logits_rows()) * columns);
  if (logits_rows() > 0) stream_->download(*lm_head_.logits, logits_rows(), columns, logits.data());
  return logits;
}

}  // namespace magnets
