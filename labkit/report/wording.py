"""Every fixed sentence of a report. Words are chosen so that nothing is claimed that was not measured."""

from __future__ import annotations

SECTIONS = {
    "performance": (
        "How good are the answers?",
        "Accuracy and calibration on data that the model has not seen, beside models that anyone can read.",
    ),
    "data": ("Who is in the data?", "How many of whom, with which labels, and which columns stand in for a group."),
    "groups": (
        "For whom does it work?",
        "Rates and errors for each group of people that the data names, beside what chance alone would show.",
    ),
    "causes": (
        "Where does it come from?",
        "What changes when only the group changes, which columns make the difference, and where errors gather.",
    ),
    "remedies": (
        "What could be done, and at what price?",
        "Methods against the difference, judged on people whom they were not fitted to. None is best: each costs somebody.",
    ),
    "stress": ("What happens under stress?", "Accuracy when somebody changes the inputs to mislead the model."),
    "generalization": ("Does it generalize or memorize?", "Training data against data that the model has not seen."),
    "memory": (
        "What does it remember?",
        "Single training examples: which of them it gives back, and whether somebody outside could tell that they were there.",
    ),
    "explanation": ("What does it use?", "Attributions for a few examples: checks first, pictures second."),
}

FINDINGS = {
    "meets": "meets the criterion",
    "does_not_meet": "does not meet it",
    "inconclusive": "inconclusive",
    "not_measured": "not measured",
    "not_applicable": "does not apply",
    "info": "for information",
}

DOES_NOT_SHOW = {
    "predict": "It says nothing of people, places or years that the test data do not cover, nor of what an error costs.",
    "calibration": "Probabilities that are right on average can still be wrong for a group, or for unusual inputs.",
    "baselines": "Each baseline is one fit with settings that nothing chose: with more care it could do better, and another "
    "seed would move both a little. Being ahead says nothing of what an error costs.",
    "audit_groups": "A difference does not say why it is there, and no difference does not say that nobody is harmed. "
    "Which measure matters is for people to decide.",
    "impact_ratios": "The law asks for these tables and sets no mark. A ratio near 1 does not say that nobody is harmed, and one "
    "far from it in few people may be chance.",
    "conditional_parity": "A factor that is taken as legitimate may itself carry the bias: an equal rate within it does not "
    "say that the factor is fairly come by.",
    "trade_offs": "It says which equalities exclude each other for these people and scores, not which of them is owed.",
    "data_bias": "Labels are taken as they are. That a group is rare or labelled otherwise does not say why.",
    "proxies": "What predicts a group need not be used by the model, and what the model uses need not be in these columns.",
    "find_slices": "It looked for the worst among slices of the stated depth. Smaller or more tangled ones may be worse.",
    "error_cohorts": "Where errors gather is no cause of them. A tree that is a single root does not say that errors are even.",
    "individual_fairness": "Who counts as alike is decided by the columns and their scale, not by what matters to people.",
    "flip_test": "It changes one thing and leaves all that comes with it: a model can pass and still treat groups apart "
    "through other columns.",
    "counterfactual_fairness": "It holds under the stated graph. If that is wrong, or a common cause is hidden, so is the answer.",
    "gap_decomposition": "It says which columns the difference goes through in this model, not who is to blame for them.",
    "explanation_disparity": "Explanations that are worse for a group say nothing of whether its answers are.",
    "bias_amplification": "It takes the labels for the truth: a model that follows biased labels exactly amplifies nothing.",
    "embedding_association": "A fact about a few words' vectors. None found is no proof that the model treats people alike.",
    "mitigate": "These methods, this learner, these people. Another method may cost less; the front is from below and above "
    "only as wide as its intervals.",
    "changes_by_group": "It compares two sets of answers. Which of the two is right about a person is known only by the labels.",
    "robustness_curve": "Each point is a bound from above: a stronger attack, another kind of change or a larger budget "
    "can only lower it.",
    "sandwich": "What is proven holds for these rows, this model and this threat model alone; between the two lines lie rows "
    "of which nothing is known.",
    "natural_shifts": "These damages were made by formulas. The camera, the weather or the form that the model will meet may "
    "do something else.",
    "abstention": "That a model is right where it is sure holds on data like these. On foreign inputs it may be sure and wrong.",
    "out_of_distribution": "It says how well these scores tell these foreign inputs apart. Others may pass unnoticed.",
    "generalization_gap": "A small gap does not rule out that single examples were memorized, or that training and test "
    "data share the same fault.",
    "leakage": "It finds what is shared in these columns, pictures or words. People who stand there twice under other values, and "
    "knowledge that came in before the data were split, leave no such trace.",
    "distribution_shift": "It says whether and where the two parts differ, not whether that matters for the answers.",
    "label_errors": "Suspects are rows that other rows speak against. Some are right and merely rare: somebody has to look.",
    "shortcuts": "It tried cues that are cheap to read. A cue that nobody thought of is not among them.",
    "learning_curve": "It holds for this learner on data like these. What lies beyond the last point is a guess with an interval.",
    "random_labels": "That labels without meaning can be learned is no fault: most networks can. It says that a good score in "
    "training proves nothing.",
    "compare_recipes": "Where several settings differ, it does not say which of them made the difference.",
    "loss_landscape": "Flat or sharp depends on how the model is written down, and does not by itself say how it generalizes.",
    "gradient_flow": "Gradients that flow do not make a model good; ones that vanish say which layers could hardly learn.",
    "memorization": "Memory is estimated with other networks trained on parts of the same data: this model may remember more, "
    "or other rows. Being remembered is not being wrong.",
    "membership_inference": "These attacks recognize at least so many. A stronger one, or one that knows more, may recognize more.",
    "attribute_inference": "It tried one outsider with one way to guess. What people share with others can be guessed of anybody, "
    "trained on or not.",
    "canaries": "Planted examples stand for odd ones. That they are recognized says that real ones can be, not which.",
    "recalibrate": "Probabilities repaired on these data may be wrong again where the data differ.",
    "conformal": "The promise holds on average over people like these. For a single person, or in another place, it may not.",
    "explain": "It shows which inputs this method gives credit to for one answer. It does not show why the model "
    "decided, and it does not protect anybody from a wrong answer.",
    "recommend": "The most faithful of the methods tried on these examples by these scores. On other examples, or by other "
    "scores, another one may be.",
    "permutation_importance": "It says what the score rests on, not what a single answer does; columns that tell of each "
    "other share their importance.",
    "feature_effect": "It says what the model's answer does, not what would happen in the world if somebody's value changed.",
    "surrogate": "The tree is not the model: where the two answer differently, it explains nothing.",
    "counterfactuals": "A change that turns the model's answer is no advice: it says nothing of whether a person can make "
    "it, or of what it would cause. Not found does not mean that there is none, unless the page says so.",
    "reasons": "Factors of the score relative to the population named, not causes. Whether they may be told to a person as "
    "the reasons is for a person to decide.",
}
DOES_NOT_SHOW_OTHERWISE = "It holds for the data, the settings and the model named in this report, and for no others."

NEXT = {
    "does_not_meet": "Read each criterion that is not met with someone who knows what an error costs.",
    "inconclusive": "Where a finding is inconclusive, gather more cases.",
    "not_measured": "Decide whether what was not measured matters for your use.",
    "meets": "Ask whether the plan asked the right questions: what it did not ask, it did not answer.",
}

GLOSSARY = {
    "AUC": "How often, of one person who has something and one who has not, the first gets the higher score: 0.5 is guessing.",
    "base rate": "The share of a group whose true class is the positive one. Where base rates differ, some equalities exclude others.",
    "equalized odds": "Both kinds of error equally frequent in all groups: equal true and equal false positive rates.",
    "Holm": "A correction for having asked many questions: without it, one in 20 would seem to find something where nothing is.",
    "impact ratio": "A group's selection rate over that of the group with the highest.",
    "least discriminatory alternative": "Among models that serve about as well, the one with the smallest difference between groups found.",
    "null": "What chance alone would show if groups were equal, found by dealing the same people into groups at random.",
    "p": "How often chance alone would show as much or more. Small speaks against chance, not for importance.",
    "proxy": "A column from which a group can be told, although it is not the group itself.",
    "slice": "A part of the people, told by one to three conditions on their columns.",
    "attribution": "A number for each part of an input that says how much a method credits it for one answer.",
    "baseline": "A simple model that does the same work, or, for an attribution, the input that others are compared with.",
    "budget": "How far an attack may change an input, in the input's own unit. Written eps.",
    "calibration": "Whether answers given with probability 0.8 are right 80 times in 100.",
    "certificate": "A proof that no change within a budget turns an answer. It holds against every attack, known or not.",
    "contradicted": "Two ways of measuring the same thing disagree. Both are shown and neither is to be relied on.",
    "criterion": "What was asked of a number, fixed in the plan before any result was seen.",
    "canary": "A made-up training example whose traces can be looked for, because it is known to have been there, or not.",
    "generalization gap": "How much better the model does on its training data than on new data.",
    "glass box": "A model whose answer is a sum of parts that anyone can look up, one or two features each.",
    "inconclusive": "The interval crosses the criterion, so the data cannot tell.",
    "interval": "The values that fit the data, at 95 % unless said otherwise. Few cases give a wide interval.",
    "n": "How many examples a number rests on.",
    "not measured": "No number was computed. The reason says what it would take.",
    "planted control": "A case made up so that its answer is known: the test must find a fault that was planted, and "
    "must find nothing in its sound twin.",
    "robust accuracy": "The share of answers that are right and stay right under every attack tried: an upper bound.",
    "member": "A training example. Membership inference is telling from a model's answers who was one.",
    "memorized": "A training example whose label the model gives back only because it was trained on it.",
    "shadow model": "A model trained like the one looked at, on a part of the data that is known, to see what training does.",
    "natural shift": "Damage as the world does it: noise, blur, weather, wrong units, missing values, misspelt words.",
    "sandwich": "What is proven from below and what attacks leave from above, on one picture.",
    "selection rate": "The share of a group that gets the positive answer.",
    "SHA-256": "A fingerprint of a file. If one byte changes, so does the fingerprint.",
    "threat model": "What an attack may change, and how its budget counts.",
}
