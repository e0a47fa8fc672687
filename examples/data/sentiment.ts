/** Is the sentence for or against its film, its food or its purchase? */
import { list, words, type Task } from './grammar.ts'

/** The same sentence frames serve both sides: only the words decide. */
const frames = (text: string, side: 'good' | 'bad'): string[] => list(text).map((frame) => frame.replaceAll('*', side))

const TRAIN = `
the {film} was {very} {*_film}. | a {*_film} {film} with a {*_film} {part}. | the {part} is {*_film} and the {part} is {*_film}. | I {*_verb} this {film}. | we {*_verb} the {film}, {tail}. |
my {person} and I {*_verb} the {part}. | what a {*_any} {film}! | the {film} is {very} {*_film}, {*_film} and {*_film}. | {*_film}, {*_film} and {very} {*_film}. |
the {food} was {very} {*_food}. | we {*_verb} the {food} and the {food}. | the {food} tasted {*_food}, and the {food} was {*_any}. | {*_food} {food}, {*_any} service. |
the waiter brought us {*_food} {food}. | my {person} {*_verb} the {food} here. | the {food} at this place is {very} {*_food}. | I had the {food} and it was {*_food}. |
the {thing} is {very} {*_thing}. | I bought this {thing} {when} and it is {*_thing}. | this {thing} is {*_thing} and {*_thing}. | a {*_thing} {thing} for the price. |
my {person} {*_verb} the {thing}. | after {while} the {thing} is still {*_thing}. | the {thing} feels {*_thing}, {tail}. | {*_any}! {*_any}! the {thing} is {*_thing}. |
I think the {film} is {*_any}. | the {thing} I got {when} was {*_any}. | {tail}, the {food} was {*_food}. | {*_end} | the {film} has a {*_film} {part}. {*_end} | the {thing} came {when}. {*_end} | we ate the {food}. {*_end}`

const DEV = `
the {part} of the {film} seemed {*_film} to me. | never have I seen a {film} this {*_film}. | the whole {film} feels {*_film} from start to finish. | critics called the {film} {*_film} and {*_any}. |
people say the {food} is {*_food}. | for dinner they served {*_food} {food} with {food}. | the {food} looked {*_any} and tasted {*_food}. | everyone at our table {*_verb} the {food}. |
the {thing} turned out to be {*_thing}. | as a gift the {thing} is {*_any}. | my new {thing} has been {*_thing} {while}. | the {thing} that they sent me is {*_thing} and {*_any}. |
overall, {*_any}. | it was {*_any}, and my {person} {*_verb} it too. | {person} of mine {*_verb} that {film}. | {*_any} {film}, {*_any} {part}. {*_end}`

export const sentiment: Task = {
  name: 'sentiment',
  slots: {
    very: words('very | really | quite | so | truly | simply | rather || extremely | just | absolutely'),
    person: words(
      'wife | brother | friend | sister | father | mother | daughter | son | boss | neighbor || husband | uncle | cousin | girlfriend',
    ),
    tail: words('from the first day | all in all | in the end | to my surprise | as usual | to be honest || without doubt | once again'),
    when: words('last week | in june | a month ago | yesterday | for my birthday | on sunday | online || two days ago | for christmas'),
    while: words(
      'a few weeks | one year | ten days | half a year | a long time | several months || since spring | for three years | all summer',
    ),
    film: words(
      'film | movie | comedy | drama | thriller | documentary | sequel | western | musical | story | picture | horror film | love story | cartoon || romance | adventure | episode | mystery | war film',
    ),
    part: words(
      'acting | plot | script | ending | dialogue | cast | music | camera work | opening scene | direction | humor | pace || soundtrack | finale | lead actress | screenplay',
    ),
    food: words(
      'soup | bread | coffee | pizza | salad | steak | cake | rice | sauce | fish | chicken | pasta | tea | breakfast | cheese || dessert | beef | burger | pie | ice cream | wine',
    ),
    thing: words(
      'phone | camera | laptop | chair | lamp | jacket | radio | keyboard | bag | watch | clock | printer | bicycle | pair of shoes | battery || television | knife | guitar | mattress | computer | vacuum cleaner',
    ),
    good_any: words(
      'wonderful | great | excellent | superb | brilliant | lovely | amazing | perfect | outstanding | beautiful | impressive | fine || fantastic | terrific | delightful | good | marvelous',
    ),
    bad_any: words(
      'terrible | awful | bad | horrible | poor | disappointing | worthless | useless | disgusting | pathetic | miserable | ridiculous || dreadful | lousy | pitiful | mediocre | appalling',
    ),
    good_film: words(
      'funny | gripping | moving | clever | touching | charming | thrilling | fresh | believable | {good_any} || hilarious | exciting | powerful | enjoyable | {good_any}',
    ),
    bad_film: words(
      'boring | predictable | silly | dull | lifeless | pointless | tedious | slow | laughable | {bad_any} || stupid | annoying | forgettable | lame | {bad_any}',
    ),
    good_food: words('delicious | tasty | fresh | warm | sweet | crisp | {good_any} || rich | perfectly cooked | {good_any}'),
    bad_food: words('cold | bland | stale | greasy | burnt | sour | raw | {bad_any} || rotten | tasteless | {bad_any}'),
    good_thing: words(
      'sturdy | reliable | comfortable | handy | fast | light | quiet | easy to use | well made | {good_any} || useful | durable | solid | {good_any}',
    ),
    bad_thing: words(
      'broken | flimsy | unreliable | noisy | heavy | dirty | hard to use | badly made | too small | {bad_any} || defective | cheap | faulty | {bad_any}',
    ),
    good_verb: words('loved | enjoyed | liked | admired | recommended | really liked || adored | praised | delighted in'),
    bad_verb: words(
      'hated | disliked | regretted | could not stand | complained about | did not like || despised | detested | grew tired of',
    ),
    good_end: words(
      'I would buy it again. | highly recommended. | a joy from beginning to end. | five stars. | I am very happy. | you will love it. | it made my day. | worth every penny. | go and get it. || we will be back. | a real pleasure. | one of the best.',
    ),
    bad_end: words(
      'I want my money back. | not recommended. | a waste of time. | one star. | I am very unhappy. | you will hate it. | it ruined my day. | not worth a penny. | stay away from it. || never again. | a real mess. | one of the worst.',
    ),
  },
  labels: {
    negative: { train: frames(TRAIN, 'bad'), dev: frames(DEV, 'bad') },
    positive: { train: frames(TRAIN, 'good'), dev: frames(DEV, 'good') },
  },
}
