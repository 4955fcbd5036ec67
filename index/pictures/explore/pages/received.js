// What the program answers a script, and an error where it has no answer: its words are never taken for content.

async function received(address) {
  const answer = await fetch(address);
  if (!answer.ok) {
    throw new Error(`${address} is not there`);
  }
  return answer;
}

export const json = async (address) => (await received(address)).json();

export const buffer = async (address) => (await received(address)).arrayBuffer();
