// Forests of decision trees over blocks of rows.
//
// A numeric test "value > cut" is a test of ranks: a value is replaced, once per block and feature, by the number of
// the feature's cuts below it, so that a node holds two or four bytes for its cut and rows of codes stay in the cache.
// Rows pass in tiles, trees one after the other over a tile, and sixteen rows side by side step down a tree without a
// branch: what one row waits for in memory, the others use.
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <tuple>
#include <variant>
#include <vector>

#include <nanobind/stl/vector.h>

#include "arrays.hpp"

namespace {

constexpr int kLanes = 16;
constexpr int64_t kMostRows = 8192;        // of a tile,
constexpr int64_t kTileBytes = 512 * 1024;  // whose codes are to stay in the cache.
constexpr int kStride = 8;  // Steps between two looks at whether all lanes have come to an end.

// A test, or a leaf, which leads to itself whatever the code.
template <class Code>
struct Node {
    Code rank;
    Code feature;
    int32_t left;  // The right child is the next node.
};

// The set of codes that go right, of a node that has one; others have mask 0 and look at word 0, which is empty.
struct Set {
    uint32_t word;
    uint32_t mask;
};

// Tests as they are told: targets from 0 are tests, those below are leaves (-1 the leaf 0, -2 the leaf 1, ...).
struct Tests {
    Vector<int32_t> roots, feature, low, high, missing;
    Vector<uint32_t> rank, word;
    Vector<bool> is_set;
};

// A feature of a block: numbers that are ranked among the cuts, or codes, of which those below 0 are missing.
struct Feature {
    const double* numbers = nullptr;
    const int32_t* codes = nullptr;
};

template <class Code>
class Packed {
public:
    static constexpr Code kMissing = std::numeric_limits<Code>::max();

    Packed(const Tests& tests, std::vector<uint32_t> words, std::vector<double> cuts, std::vector<int64_t> ends)
        : words_(std::move(words)), cuts_(std::move(cuts)), ends_(std::move(ends)) {
        const size_t states = tests.feature.size();
        std::vector<int32_t> placed(states, -1);
        nodes_.reserve(2 * states + tests.roots.size());
        for (size_t tree = 0; tree < tests.roots.size(); ++tree) place_tree(tests, tests.roots(tree), placed);
        find_depths(tests, placed);
        for (size_t state = 0; state < states; ++state) has_sets_ |= tests.is_set(state);
    }

    size_t trees() const { return roots_.size(); }
    size_t features() const { return ends_.size(); }
    size_t leaves() const { return leaf_count_; }

    // Rows that are walked together.
    int64_t tile_rows() const {
        const auto row = static_cast<int64_t>(std::max<size_t>(ends_.size(), 1) * sizeof(Code));
        return std::clamp<int64_t>(kTileBytes / row, kLanes, kMostRows) / kLanes * kLanes;
    }

    // For each tile of rows calls `start(rows)`, then `visit(tree, first row of the tile, row in the tile, lanes,
    // leaves)` for every tree and every sixteen rows, trees in order, then `finish(first row of the tile, rows)`.
    template <class Start, class Visit, class Finish>
    void walk(const std::vector<Feature>& features, int64_t rows, Start start, Visit visit, Finish finish) const {
        const size_t width = std::max<size_t>(ends_.size(), 1);
        const int64_t tile = std::min(tile_rows(), rows);
        std::vector<Code> codes((tile + kLanes) * width, 0);
        for (int64_t first = 0; first < rows; first += tile) {
            const int64_t count = std::min(tile, rows - first);
            const bool missing = encode(features, first, count, codes.data());
            start(count);
            for (size_t tree = 0; tree < roots_.size(); ++tree) {
                const int64_t part = (size_of(tree + 1) * kLanes + count - 1) / count;
                for (int64_t row = 0; row < count; row += kLanes) {
                    fetch(tree + 1, row / kLanes * part, part);
                    std::array<int32_t, kLanes> at;
                    at.fill(roots_[tree]);
                    const Code* here = codes.data() + row * width;
                    descend(at, here, width, depths_[tree], missing);
                    for (auto& node : at) node = leaves_[node];
                    visit(tree, first, row, std::min<int64_t>(kLanes, count - row), at);
                }
            }
            finish(first, count);
        }
    }

    // One row: sixteen trees side by side. Calls `visit(first tree, lanes, leaves)`.
    template <class Visit>
    void walk_row(const std::vector<double>& values, Visit visit) const {
        thread_local std::vector<Code> codes;
        codes.assign(std::max<size_t>(ends_.size(), 1), 0);
        bool missing = false;
        for (size_t feature = 0; feature < ends_.size(); ++feature) {
            const double value = values[feature];
            const int64_t begin = feature ? ends_[feature - 1] : 0, end = ends_[feature];
            if (value != value || (end == begin && value < 0)) {
                codes[feature] = kMissing;
                missing = true;
            } else if (end > begin) {
                codes[feature] = static_cast<Code>(
                    std::lower_bound(cuts_.begin() + begin, cuts_.begin() + end, value) - (cuts_.begin() + begin));
            } else {
                codes[feature] = static_cast<Code>(value);
            }
        }
        for (size_t tree = 0; tree < roots_.size(); tree += kLanes) {
            const size_t count = std::min<size_t>(kLanes, roots_.size() - tree);
            std::array<int32_t, kLanes> at;
            int32_t depth = 0;
            for (size_t lane = 0; lane < kLanes; ++lane) {
                at[lane] = roots_[tree + std::min(lane, count - 1)];
                depth = std::max(depth, depths_[tree + std::min(lane, count - 1)]);
            }
            descend(at, codes.data(), 0, depth, missing);
            for (auto& node : at) node = leaves_[node];
            visit(tree, count, at);
        }
    }

    // The first feature on a row's way down a tree that is marked for the row; -1 if none is.
    void first_marked(const std::vector<Feature>& features, int64_t rows, const bool* marks, int32_t* found) const {
        const size_t width = std::max<size_t>(ends_.size(), 1);
        const int64_t tile = std::min(tile_rows(), rows);
        std::vector<Code> codes(tile * width, 0);
        for (int64_t first = 0; first < rows; first += tile) {
            const int64_t count = std::min(tile, rows - first);
            encode(features, first, count, codes.data());
            for (size_t tree = 0; tree < roots_.size(); ++tree) {
                for (int64_t row = 0; row < count; ++row) {
                    int32_t at = roots_[tree], met = -1;
                    while (met < 0 && nodes_[at].left != at) {
                        const Code feature = nodes_[at].feature;
                        if (is_test(at) && marks[(first + row) * width + feature]) met = feature;
                        at = step<true, true>(at, codes[row * width + feature]);
                    }
                    found[tree * rows + first + row] = met;
                }
            }
        }
    }

private:
    int32_t add_node() {
        const auto position = static_cast<int32_t>(nodes_.size());
        nodes_.push_back({kMissing, 0, position});
        missing_.push_back(position);
        sets_.push_back({0, 0});
        leaves_.push_back(-1);
        return position;
    }

    // Numbers a tree's nodes breadth first. A test that two others lead to is placed once; where it cannot be a child
    // of the second, a node that always leads to it is.
    void place_tree(const Tests& tests, int32_t root, std::vector<int32_t>& placed) {
        std::vector<std::pair<int32_t, int32_t>> queue;  // positions and targets
        std::vector<std::pair<int32_t, int32_t>> inner;  // positions of tests, and the tests
        std::vector<std::pair<int32_t, int32_t>> missing_leaves;
        auto place = [&](int32_t position, int32_t target) {
            queue.clear();
            queue.emplace_back(position, target);
            for (size_t next = 0; next < queue.size(); ++next) {
                const auto [here, what] = queue[next];
                if (what < 0) {
                    leaves_[here] = ~what;
                    leaf_count_ = std::max<size_t>(leaf_count_, ~what + 1);
                } else if (placed[what] >= 0) {
                    nodes_[here].left = missing_[here] = placed[what];
                } else {
                    placed[what] = here;
                    const int32_t left = add_node();
                    add_node();
                    nodes_[here] = {tests.is_set(what) ? kMissing : static_cast<Code>(tests.rank(what)),
                                    static_cast<Code>(tests.feature(what)), left};
                    if (tests.is_set(what)) {
                        sets_[here] = {tests.word(what), std::numeric_limits<uint32_t>::max()};
                    }
                    inner.emplace_back(here, what);
                    queue.emplace_back(left, tests.low(what));
                    queue.emplace_back(left + 1, tests.high(what));
                }
            }
        };
        roots_.push_back(add_node());
        place(roots_.back(), root);
        for (size_t next = 0; next < inner.size(); ++next) {
            const auto [here, what] = inner[next];
            const int32_t target = tests.missing(what), left = nodes_[here].left;
            int32_t missing = 0;
            const auto known = std::find_if(missing_leaves.begin(), missing_leaves.end(),
                                            [&](const auto& item) { return item.first == target; });
            if (target == tests.low(what)) {
                missing = left;
            } else if (target == tests.high(what)) {
                missing = left + 1;
            } else if (target >= 0 && placed[target] >= 0) {
                missing = placed[target];
            } else if (known != missing_leaves.end()) {
                missing = known->second;
            } else {
                missing = add_node();
                if (target < 0 && missing_leaves.size() < 8) missing_leaves.emplace_back(target, missing);
                place(missing, target);
            }
            missing_[here] = missing;
        }
    }

    // The most steps from each root to a leaf. Tests lead to tests after them only, so one pass from the last suffices.
    void find_depths(const Tests& tests, const std::vector<int32_t>& placed) {
        std::vector<int32_t> height(placed.size(), 0);
        for (size_t state = placed.size(); state-- > 0;) {
            if (placed[state] < 0) continue;
            const int32_t left = nodes_[placed[state]].left;
            const std::array<std::pair<int32_t, int32_t>, 3> edges{{{tests.low(state), left},
                                                                    {tests.high(state), left + 1},
                                                                    {tests.missing(state), -1}}};
            for (const auto& [target, position] : edges) {
                const int32_t detour = target >= 0 && position >= 0 && placed[target] != position;
                height[state] = std::max(height[state], 1 + detour + (target < 0 ? 0 : height[target]));
            }
        }
        for (size_t tree = 0; tree < roots_.size(); ++tree)
            depths_.push_back(tests.roots(tree) < 0 ? 0 : height[tests.roots(tree)]);
    }

    // Whether a node looks at its feature; one that only leads on does not.
    bool is_test(int32_t at) const { return nodes_[at].rank != kMissing || sets_[at].mask != 0; }

    // How many nodes a tree has; none if there is no such tree.
    int64_t size_of(size_t tree) const {
        if (tree >= roots_.size()) return 0;
        return (tree + 1 < roots_.size() ? roots_[tree + 1] : static_cast<int64_t>(nodes_.size())) - roots_[tree];
    }

    // Brings part of a tree into the cache, while the one before it is walked.
    void fetch(size_t tree, int64_t first, int64_t count) const {
        for (int64_t node = first; node < std::min(first + count, size_of(tree)); node += 4) {
            __builtin_prefetch(nodes_.data() + roots_[tree] + node);
            __builtin_prefetch(leaves_.data() + roots_[tree] + node);
        }
    }

    // One step of one row; whether nodes have sets, and codes gaps, is known beforehand.
    template <bool kSets, bool kGaps>
    int32_t step(int32_t at, Code code) const {
        const Node<Code> node = nodes_[at];
        bool high = code > node.rank;
        if constexpr (kSets) {
            const Set set = sets_[at];
            high |= words_[set.word + (set.mask & (code >> 5))] >> (code & 31) & 1;
        }
        const int32_t next = node.left + static_cast<int32_t>(high);
        if constexpr (kGaps) return code == kMissing ? missing_[at] : next;
        return next;
    }

    // Leads every lane from its node down to a leaf; `missing` tells whether a code may be.
    void descend(std::array<int32_t, kLanes>& at, const Code* codes, size_t stride, int32_t depth, bool missing) const {
        if (has_sets_) {
            missing ? descend<true, true>(at, codes, stride, depth) : descend<true, false>(at, codes, stride, depth);
        } else {
            missing ? descend<false, true>(at, codes, stride, depth) : descend<false, false>(at, codes, stride, depth);
        }
    }

    template <bool kSets, bool kGaps>
    void descend(std::array<int32_t, kLanes>& at, const Code* codes, size_t stride, int32_t depth) const {
        const Node<Code>* nodes = nodes_.data();
        while (depth > 0) {
            for (int32_t left = std::min(depth, 2 * kStride); left > 0; --left) {
#pragma GCC unroll 16
                for (int lane = 0; lane < kLanes; ++lane)
                    at[lane] = step<kSets, kGaps>(at[lane], codes[lane * stride + nodes[at[lane]].feature]);
            }
            depth -= 2 * kStride;
            if (depth > 0 && std::all_of(at.begin(), at.end(), [&](int32_t node) { return nodes[node].left == node; }))
                return;
        }
    }

    // Fills a tile of codes, row by row; tells whether one is missing.
    bool encode(const std::vector<Feature>& features, int64_t first, int64_t count, Code* codes) const {
        const size_t width = std::max<size_t>(ends_.size(), 1);
        bool missing = false;
        for (size_t feature = 0; feature < features.size(); ++feature) {
            Code* out = codes + feature;
            if (features[feature].numbers != nullptr) {
                const int64_t begin = feature ? ends_[feature - 1] : 0;
                missing |= rank(cuts_.data() + begin, ends_[feature] - begin, features[feature].numbers + first, count,
                                out, width);
            } else {
                for (int64_t row = 0; row < count; ++row) {
                    const int32_t code = features[feature].codes[first + row];
                    out[row * width] = code < 0 ? kMissing : static_cast<Code>(code);
                    missing |= code < 0;
                }
            }
        }
        return missing;
    }

    // How many of the sorted cuts are below each value: binary searches side by side, without a branch.
    static bool rank(const double* cuts, int64_t size, const double* values, int64_t count, Code* out, size_t stride) {
        bool missing = false;
        for (int64_t row = 0; row < count; row += kLanes) {
            const int64_t lanes = std::min<int64_t>(kLanes, count - row);
            std::array<double, kLanes> value{};
            std::copy_n(values + row, lanes, value.begin());
            std::array<int32_t, kLanes> base{};
            int64_t length = size;
            for (; length > 1; length -= length / 2) {
                const auto half = static_cast<int32_t>(length / 2);
#pragma GCC unroll 16
                for (int lane = 0; lane < kLanes; ++lane)
                    base[lane] += cuts[base[lane] + half - 1] < value[lane] ? half : 0;
            }
            for (int64_t lane = 0; lane < lanes; ++lane) {
                const bool absent = value[lane] != value[lane];
                const bool above = length > 0 && cuts[base[lane]] < value[lane];
                out[(row + lane) * stride] = absent ? kMissing : static_cast<Code>(base[lane] + above);
                missing |= absent;
            }
        }
        return missing;
    }

    std::vector<Node<Code>> nodes_;
    std::vector<int32_t> missing_;  // Where a row goes whose code is missing.
    std::vector<Set> sets_;
    std::vector<int32_t> leaves_;
    std::vector<int32_t> roots_, depths_;
    std::vector<uint32_t> words_;
    std::vector<double> cuts_;
    std::vector<int64_t> ends_;
    size_t leaf_count_ = 0;
    bool has_sets_ = false;
};

class Forest {
public:
    Forest(const Tests& tests, Vector<uint32_t> words, Vector<double> cuts, Vector<int64_t> ends, uint32_t codes)
        : packed_(pack(tests, words, cuts, ends, codes)) {}

    nb::ndarray<nb::numpy, int32_t> leaves(const nb::list& columns) const {
        return std::visit(
            [&](const auto& packed) {
                const auto [features, rows] = read(columns);
                std::vector<int32_t> result(packed.trees() * rows);
                {
                    nb::gil_scoped_release release;
                    packed.walk(
                        features, rows, [](int64_t) {},
                        [&](size_t tree, int64_t first, int64_t row, int64_t lanes, const auto& at) {
                            std::copy_n(at.begin(), lanes, result.begin() + tree * rows + first + row);
                        },
                        [](int64_t, int64_t) {});
                }
                return to_numpy(std::move(result), packed.trees(), rows);
            },
            packed_);
    }

    // Sums of the table's rows over the leaves of all trees, a line for each of the table's columns.
    template <class Real>
    nb::ndarray<nb::numpy, Real> sums(const nb::list& columns, Matrix<Real> table) const {
        return std::visit(
            [&](const auto& packed) {
                const auto [features, rows] = read(columns);
                check_table(packed, table.shape(0));
                const size_t width = table.shape(1);
                std::vector<Real> result(rows * width);
                const Real* values = table.data();
                {
                    nb::gil_scoped_release release;
                    std::vector<Real> totals(std::min(packed.tile_rows(), rows) * width);
                    Real* total = totals.data();
                    auto start = [&](int64_t) { std::fill(totals.begin(), totals.end(), Real{0}); };
                    auto finish = [&](int64_t first, int64_t count) {
                        for (size_t place = 0; place < width; ++place)
                            for (int64_t row = 0; row < count; ++row)
                                result[place * rows + first + row] = total[row * width + place];
                    };
                    auto add = [&]<size_t kWidth>(std::integral_constant<size_t, kWidth>) {
                        const size_t step = kWidth ? kWidth : width;
                        packed.walk(
                            features, rows, start,
                            [&](size_t, int64_t, int64_t row, int64_t lanes, const auto& at) {
                                for (int64_t lane = 0; lane < lanes; ++lane) {
                                    const Real* from = values + at[lane] * step;
                                    Real* to = total + (row + lane) * step;
                                    for (size_t place = 0; place < step; ++place) to[place] += from[place];
                                }
                            },
                            finish);
                    };
                    // Few columns are added without a loop.
                    switch (width) {
                        case 1: add(std::integral_constant<size_t, 1>{}); break;
                        case 2: add(std::integral_constant<size_t, 2>{}); break;
                        case 3: add(std::integral_constant<size_t, 3>{}); break;
                        default: add(std::integral_constant<size_t, 0>{});
                    }
                }
                return to_numpy(std::move(result), width, rows);
            },
            packed_);
    }

    std::vector<int32_t> row_leaves(const std::vector<double>& values) const {
        return std::visit(
            [&](const auto& packed) {
                check_row(values);
                std::vector<int32_t> result(packed.trees());
                packed.walk_row(values, [&](size_t tree, size_t lanes, const auto& at) {
                    std::copy_n(at.begin(), lanes, result.begin() + tree);
                });
                return result;
            },
            packed_);
    }

    template <class Real>
    std::vector<Real> row_sums(const std::vector<double>& values, Matrix<Real> table) const {
        return std::visit(
            [&](const auto& packed) {
                check_row(values);
                check_table(packed, table.shape(0));
                const size_t width = table.shape(1);
                std::vector<Real> total(width, 0);
                packed.walk_row(values, [&](size_t, size_t lanes, const auto& at) {
                    for (size_t lane = 0; lane < lanes; ++lane)
                        for (size_t place = 0; place < width; ++place)
                            total[place] += table.data()[at[lane] * width + place];
                });
                return total;
            },
            packed_);
    }

    nb::ndarray<nb::numpy, int32_t> first_marked(const nb::list& columns, Matrix<bool> marks) const {
        return std::visit(
            [&](const auto& packed) {
                const auto [features, rows] = read(columns);
                if (marks.shape(0) != static_cast<size_t>(rows) || marks.shape(1) != packed.features())
                    throw std::invalid_argument("marks are not of the shape (rows, features)");
                std::vector<int32_t> result(packed.trees() * rows);
                {
                    nb::gil_scoped_release release;
                    packed.first_marked(features, rows, marks.data(), result.data());
                }
                return to_numpy(std::move(result), packed.trees(), rows);
            },
            packed_);
    }

private:
    using Variant = std::variant<Packed<uint16_t>, Packed<uint32_t>>;

    static Variant pack(const Tests& tests, Vector<uint32_t> words, Vector<double> cuts, Vector<int64_t> ends,
                        uint32_t codes) {
        for (size_t state = 0; state < tests.feature.size(); ++state) {
            const auto least = static_cast<int32_t>(state);
            if (tests.feature(state) < 0 || static_cast<size_t>(tests.feature(state)) >= ends.size())
                throw std::invalid_argument("a test names a feature that is not there");
            for (const int32_t target : {tests.low(state), tests.high(state), tests.missing(state)})
                if (target >= 0 && (target <= least || static_cast<size_t>(target) >= tests.feature.size()))
                    throw std::invalid_argument("a test leads to one before it or beyond the last");
        }
        std::vector<uint32_t> all_words{0};
        all_words.insert(all_words.end(), words.data(), words.data() + words.size());
        std::vector<double> all_cuts(cuts.data(), cuts.data() + cuts.size());
        std::vector<int64_t> all_ends(ends.data(), ends.data() + ends.size());
        constexpr auto kNarrow = std::numeric_limits<uint16_t>::max();
        const bool narrow = codes < kNarrow && ends.size() <= kNarrow;
        nb::gil_scoped_release release;
        if (narrow) return Packed<uint16_t>(tests, std::move(all_words), std::move(all_cuts), std::move(all_ends));
        return Packed<uint32_t>(tests, std::move(all_words), std::move(all_cuts), std::move(all_ends));
    }

    size_t width() const {
        return std::visit([](const auto& packed) { return packed.features(); }, packed_);
    }

    static void check_table(const auto& packed, size_t leaves) {
        if (leaves < packed.leaves()) throw std::invalid_argument("a table has fewer rows than there are leaves");
    }

    void check_row(const std::vector<double>& values) const {
        if (values.size() != width()) throw std::invalid_argument("a row has another number of features");
    }

    // The columns of a block; a forest without features has one column all the same, which tells the number of rows.
    std::tuple<std::vector<Feature>, int64_t> read(const nb::list& columns) const {
        std::vector<Feature> features;
        int64_t rows = -1;
        for (nb::handle item : columns) {
            Feature feature;
            int64_t size;
            Vector<double> numbers;
            if (nb::try_cast(item, numbers, false)) {
                feature.numbers = numbers.data();
                size = static_cast<int64_t>(numbers.size());
            } else {
                const auto codes = nb::cast<Vector<int32_t>>(item);
                feature.codes = codes.data();
                size = static_cast<int64_t>(codes.size());
            }
            if (rows >= 0 && size != rows) throw std::invalid_argument("columns have different numbers of rows");
            rows = size;
            features.push_back(feature);
        }
        if (features.size() != std::max<size_t>(width(), 1)) throw std::invalid_argument("a column per feature");
        if (width() == 0) features.clear();
        return {std::move(features), rows};
    }

    Variant packed_;
};

}  // namespace

void register_trees(nb::module_& module) {
    nb::class_<Forest>(module, "Forest", "Decision trees, packed; any number of threads may use one at once.")
        .def(
            "__init__",
            [](Forest* self, Vector<int32_t> roots, Vector<int32_t> feature, Vector<uint32_t> rank, Vector<bool> is_set,
               Vector<uint32_t> word, Vector<int32_t> low, Vector<int32_t> high, Vector<int32_t> missing,
               Vector<uint32_t> words, Vector<double> cuts, Vector<int64_t> ends, uint32_t codes) {
                new (self) Forest({roots, feature, low, high, missing, rank, word, is_set}, words, cuts, ends, codes);
            },
            nb::kw_only(), nb::arg("roots"), nb::arg("feature"), nb::arg("rank"), nb::arg("is_set"), nb::arg("word"),
            nb::arg("low"), nb::arg("high"), nb::arg("missing"), nb::arg("words"), nb::arg("cuts"), nb::arg("ends"),
            nb::arg("codes"))
        .def("leaves", &Forest::leaves, nb::arg("columns"))
        .def("sums", &Forest::sums<float>, nb::arg("columns"), nb::arg("table").noconvert())
        .def("sums", &Forest::sums<double>, nb::arg("columns"), nb::arg("table").noconvert())
        .def("first_marked", &Forest::first_marked, nb::arg("columns"), nb::arg("marks"))
        .def("row_leaves", &Forest::row_leaves, nb::arg("values"))
        .def("row_sums", &Forest::row_sums<float>, nb::arg("values"), nb::arg("table").noconvert())
        .def("row_sums", &Forest::row_sums<double>, nb::arg("values"), nb::arg("table").noconvert());
}
